"""Django's PostgreSQL backend with connections that honour the request's deadline."""
