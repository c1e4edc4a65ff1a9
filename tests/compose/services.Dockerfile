# A machine with systemd: the image of all roles, without the user that it made, and Debian's systemd as its first process.
ARG IMAGE
FROM ${IMAGE}
USER root
RUN apt-get update && apt-get install -y --no-install-recommends systemd systemd-sysv && rm -rf /var/lib/apt/lists/* \
    && userdel downdraft && rm -rf /etc/downdraft /var/lib/downdraft /downloads
WORKDIR /src
# Credentials reach a service over a mount that its first process makes: mounts are shared on a real machine.
ENTRYPOINT ["sh", "-c", "mount --make-rshared / && exec /sbin/init"]
