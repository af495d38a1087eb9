# An app on free-threaded Python: put it beside this file, its requirements into requirements.txt, and name it in APP.
#   docker build --build-arg APP=main:app -t shop . && docker run -p 8000:8000 shop
FROM debian:trixie-slim AS build
COPY --from=ghcr.io/astral-sh/uv:latest /uv /bin/uv
ENV UV_PYTHON_INSTALL_DIR=/python UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN uv python install 3.14t && uv venv --python 3.14t /venv
# The wheel of this version where it lies here, else the newest release.
COPY requirements.txt* *.whl* /build/
RUN if ls /build/*.whl >/dev/null 2>&1; then set -- /build/*.whl; else set -- 'freelane[standard,metrics]'; fi; \
    uv pip install --python /venv "$@" && \
    if [ -f /build/requirements.txt ]; then uv pip install --python /venv -r /build/requirements.txt; fi

FROM debian:trixie-slim
RUN useradd --system --uid 10001 --home-dir /app app
COPY --from=build /python /python
COPY --from=build /venv /venv
WORKDIR /app
COPY --chown=app . .
USER app
ARG APP=""
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 FREELANE_APP=${APP} FREELANE_HOST=0.0.0.0 FREELANE_HEALTH_PATH=/healthz
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/healthz', timeout=2)"]
CMD ["freelane", "run"]
