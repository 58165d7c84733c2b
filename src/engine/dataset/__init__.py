"""Datasets built from journals: records, validation, tables; no network."""
