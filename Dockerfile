# Issuer, agent and command line in one image. It holds no secret and no configuration: those come at run time.
FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The environment gets no pip of its own, so that none comes along into the image.
RUN python -m venv --without-pip /opt/tocsin
COPY requirements/run.txt requirements/
RUN pip --python /opt/tocsin/bin/python install --require-hashes --requirement requirements/run.txt
COPY . .
RUN pip --python /opt/tocsin/bin/python install --no-deps --no-build-isolation . \
 && pip --python /opt/tocsin/bin/python uninstall --yes setuptools

FROM python:3.12-slim-bookworm
# Folders that volumes are mounted on: a new volume takes over their owner and mode.
RUN python -m pip --no-cache-dir uninstall --yes --root-user-action=ignore pip \
 && groupadd --gid 10001 tocsin \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tocsin \
 && install --directory --owner tocsin --group tocsin --mode 0700 /var/lib/tocsin \
 && install --directory --owner tocsin --group tocsin --mode 0755 /etc/tocsin
COPY --from=build /opt/tocsin /opt/tocsin
ENV PATH=/opt/tocsin/bin:$PATH PYTHONUNBUFFERED=1
# As numbers, so that an orchestrator can tell that it is not root.
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["tocsin"]
CMD ["--help"]
