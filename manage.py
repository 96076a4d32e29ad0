#!/usr/bin/env python
"""The one entry point: `manage.py up` runs everything, `manage.py help` lists the rest."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oversight.settings")
    execute_from_command_line(sys.argv)
