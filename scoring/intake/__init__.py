"""From untrusted bytes to checked records: decode, check, normalise. Nothing here stores."""
