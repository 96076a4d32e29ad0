"""The embedded servers, the web server's processes, and the supervisor behind `manage.py up`.

Nothing here knows Django's models: these modules start, watch and stop processes.
"""
