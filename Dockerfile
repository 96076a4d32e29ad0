# One image for all roles: web, worker, beat, and the commands. See compose.yaml.
FROM python:3.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    OMP_NUM_THREADS=1 \
    OVERSIGHT_DATA=/data

RUN useradd --system --uid 10001 oversight && mkdir /data && chown oversight /data
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
RUN python -m compileall -q oversight review scoring

USER oversight
VOLUME /data
EXPOSE 8000
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--workers", "2"]
