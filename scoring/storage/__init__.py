"""How records reach their tables: partitions made on demand, rows written by COPY."""
