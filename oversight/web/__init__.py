"""The web server: waitress, which reads a request whole before a thread sees it, made to last.

`channel` and `server` add limits of time and a clean end; `prefork` runs several of them on one
socket. Nothing here knows Django.
"""
