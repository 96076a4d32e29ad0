"""WSGI keys under which the web server tells the application what it alone knows of a request."""

# float: the monotonic time at which the request had arrived whole.
RECEIVED_AT = "oversight.received_at"
# bool: whether it came with a proxy's headers, also where they were not trusted and so removed.
IS_FORWARDED = "oversight.is_forwarded"
