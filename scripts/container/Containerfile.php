# SPDX-License-Identifier: ISC
#
# php-cgi of Debian with spawnd. From the top of the source, with the site in
# /srv/app, where the web server has it too:
#
#	podman build --format docker -f scripts/container/Containerfile.php -t php .
#	podman run --read-only --cap-drop all -v /srv/app:/srv/app:ro \
#	    -p 127.0.0.1:9000:9000 php
#
# Whoever can reach the port runs what he likes: publish it to nobody else.
# CONTAINERS in spawnd(8) says what the options below are for, and EXAMPLES what
# the web server has to keep from PHP.

FROM debian:stable-slim AS build
COPY . /src
RUN . /src/scripts/packages.sh && apt-get update && apt-get install -y \
    --no-install-recommends $packages_build
RUN make -j "$(nproc)" -C /src install DESTDIR=/out PREFIX=/usr

FROM debian:stable-slim
RUN apt-get update && apt-get install -y --no-install-recommends php-cgi \
    libbsd0 libcap-ng0 libjansson4 && \
    rm -rf /var/lib/apt/lists/*
COPY --from=build /out/usr/sbin/spawnd /usr/sbin/
COPY --from=build /out/usr/bin/spawnctl /usr/bin/
USER www-data
EXPOSE 9000
HEALTHCHECK CMD ["spawnctl", "ping"]
# docker and podman wait for 10 seconds: that is to be longer than the stop.
ENTRYPOINT ["spawnd", "-n", "--worker-log", "raw", "--stop-timeout", "8", \
    "-a", "*", "-p", "9000"]
CMD ["-C", "8", "--", "/usr/bin/php-cgi"]
