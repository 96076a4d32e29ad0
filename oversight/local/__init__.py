"""The embedded servers and the supervisor behind `manage.py up`.

Nothing here knows Django: these modules find, start, watch and stop processes.
"""
