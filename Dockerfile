# The application. `docker-compose.yml` puts PostgreSQL beside it; alone it keeps an embedded server's data in the volume /data.

FROM python:3.12-slim AS packages
# A virtual environment is one folder to copy: pip and its cache stay behind.
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: -r /tmp/requirements.txt

FROM python:3.12-slim
# The user has a name because PostgreSQL's initdb asks for one; the number is fixed so that a volume keeps its owner.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin voltledger \
 && install --directory --owner voltledger --group voltledger --mode 0700 /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY config.py ./
COPY logs.py ./
COPY charging charging
COPY db db
COPY alerting alerting
COPY api api
COPY edge edge
COPY dashboard dashboard
COPY simulator simulator
COPY proof proof
COPY assets assets
RUN /opt/venv/bin/python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    VOLTLEDGER_HOST=0.0.0.0 \
    VOLTLEDGER_PORT=8050 \
    VOLTLEDGER_DATA_DIR=/data
# By number: an orchestrator can then see that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 8050
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8050/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "dashboard"]
