"""Imported by the process that kernels are forked from, before the first of them (see warm_kernel.py)."""

from course_utils.authoring.warm_kernel import import_all

import_all()
