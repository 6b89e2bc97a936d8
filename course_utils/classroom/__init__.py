"""What the lessons and a learner need: the command, exercises and their checks, models, backends."""
