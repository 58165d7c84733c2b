"""The nouns of the engine: plain, frozen values with no behaviour beyond their own text form."""
