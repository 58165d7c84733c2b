"""Learning a skill in English."""

from __future__ import annotations

from engine.rehearsal.vocabulary.form import Facet, Item, Slot, TaskWords

_PLAN = Facet(
    words=("learning plan", "stages"),
    topic="a learning plan for {skill}",
    asks=(
        "Can you outline a learning plan?",
        "What would a learning plan look like?",
        "Which stages should I go through?",
    ),
    items=(
        Item("Orientation week", "find out what {skill} is used for and set one concrete aim"),
        Item("Core basics", "learn the twenty things that come up every day"),
        Item("Guided practice", "repeat each lesson with small changes of your own"),
        Item("First own project", "finish something tiny from beginning to end"),
        Item("Feedback round", "show the result to somebody who knows {skill} well"),
        Item("Closing the gaps", "list your five most frequent mistakes and drill them"),
        Item("Larger project", "combine all that you have learned in one piece"),
        Item("Review month", "return to old exercises and do them twice as fast"),
        Item("Theory in small doses", "read ten pages and explain them aloud"),
        Item("Public finish", "present what you made to friends or colleagues"),
    ),
    in_parts=True,
)
_RESOURCES = Facet(
    words=("resource", "course", "textbook"),
    topic="learning resources for {skill}",
    asks=(
        "Which resources do you recommend?",
        "Is there a course worth taking?",
        "What resources suit my level?",
    ),
    items=(
        Item("Interactive online course", "short lessons with an exercise after each one"),
        Item("Classic textbook", "two chapters a week and the questions at the end"),
        Item("Video series", "watch at normal speed, pause and imitate"),
        Item("Community forum", "read the answers to common questions before you ask"),
        Item("Evening class", "a teacher, eight classmates and a fixed time"),
        Item("Podcast about {skill}", "useful on the way to work"),
        Item("Flash cards", "ten new ones a day, reviewed at growing intervals"),
        Item("Official documentation or reference", "dry at first, yet always right"),
    ),
)
_SCHEDULE = Facet(
    words=("schedule", "how many hours", "timetable"),
    topic="the weekly study schedule",
    asks=(
        "How should I arrange my schedule?",
        "How many hours a week are needed?",
        "Can you draft a timetable?",
    ),
    items=(
        Item("Early half hour", "new material before work, while the head is fresh"),
        Item("Lunch review", "ten minutes with yesterday's notes"),
        Item("Two long evenings", "ninety minutes on Tuesday and Thursday for exercises"),
        Item("Saturday project block", "three hours with one clear goal"),
        Item("Sunday rest", "no study, so that things can settle"),
        Item("Commuting slot", "listen or read without taking notes"),
        Item("Fortnightly check", "half an hour to compare plan and progress"),
        Item("Flexible buffer", "one spare evening for whatever was missed"),
    ),
    in_parts=True,
)
_PRACTICE = Facet(
    words=("practice", "exercise", "project"),
    topic="practice projects",
    asks=(
        "What should I practise on? Is there a project you like?",
        "Which exercises work best?",
        "What project could I start with?",
    ),
    items=(
        Item("Daily miniature", "something that can be finished within twenty minutes"),
        Item("Rebuild a good example", "copy it first, then change one thing at a time"),
        Item("Project from your own work", "solve a problem that you really have"),
        Item("Partner exercise", "swap results with another learner each week"),
        Item("Timed challenge", "one task, one hour, no help"),
        Item("Teach a friend", "explaining {skill} shows what you have not understood"),
        Item("Error diary", "write down each mistake and its cure"),
        Item("Portfolio piece", "a clean result you would show to anybody"),
    ),
)
_PROGRESS = Facet(
    words=("progress", "motivat", "test myself"),
    topic="measuring progress and staying motivated",
    asks=("How can I measure my progress?", "How do I stay motivated?", "When should I test myself?"),
    items=(
        Item("Weekly self-test", "ten questions without notes, marked honestly"),
        Item("Visible chart", "one square for each day on the kitchen wall"),
        Item("Milestone dinner", "a reward when a stage is complete"),
        Item("Mock exam", "under real conditions, once a month"),
        Item("Before and after", "repeat the very first exercise and compare"),
        Item("Study partner", "a short message each evening keeps both honest"),
        Item("Mentor talk", "half an hour with an expert every few weeks"),
        Item("Minimum rule", "five minutes count, and most days they turn into thirty"),
    ),
    in_parts=True,
)

SKILLS = TaskWords(
    slots=(
        Slot(
            "skill",
            (
                ("python", "Python"),
                ("video", "video editing"),
                ("french", "French"),
                ("", "this skill"),
            ),
        ),
        Slot(
            "level",
            (
                ("scratch", "I'm a complete beginner."),
                ("beginner", "I'm a complete beginner."),
                ("no foundation", "I'm a complete beginner."),
                ("experience", "I already have some experience."),
                ("", "I'm not sure of my level."),
            ),
        ),
        Slot(
            "aim",
            (
                ("half a year", "out of interest, within half a year"),
                ("half year", "out of interest, within half a year"),
                ("month", "for my work, within one month"),
                ("", "as soon as is reasonable"),
            ),
        ),
    ),
    aspects=("daily_interests_and_hobbies", "personality", "other_aspects", "spending_habits"),
    openings=(
        "I'm learning {skill} {aim}. {level}",
        "I want to study {skill} {aim} and need help with my learning. {level}",
        "Please help me with studying {skill}; I'd like to manage it {aim}. {level}",
        "My goal is learning {skill} {aim}, with proper study materials. {level}",
    ),
    wishes=(
        "I learn best when I can try things out at once.",
        "Long videos make me sleepy, so shorter lessons are better.",
        "After work I can concentrate for about an hour.",
        "I have given up twice before, both times in the third week.",
        "I would like to speak with people who learn the same thing.",
        "A certificate is not important to me.",
        "My laptop is five years old, but it still does its job.",
        "I forget quickly unless I repeat things after a few days.",
    ),
    facts=(
        "Plan {n} hours a week for it.",
        "Most learners need about {n} weeks here.",
        "It costs between nothing and {n}0 dollars.",
        "Repeat it {n} times before you go on.",
        "Keep each session below {n}0 minutes.",
    ),
    facets=(_PLAN, _RESOURCES, _SCHEDULE, _PRACTICE, _PROGRESS),
)
