"""Django's commands for this project: `python examples/django_alarms/manage.py runserver`."""

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    # The project is a part of the package of examples.
    sys.path.insert(0, str(Path(__file__).parents[2]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_alarms.project.settings")
    execute_from_command_line(sys.argv)
