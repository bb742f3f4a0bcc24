# The same commands as on a bare machine, in a container: `docker compose run demo`, `docker compose run test`.
FROM python:3.11-bookworm
RUN useradd --create-home winnow
WORKDIR /winnow
RUN chown winnow /winnow
USER winnow
COPY --chown=winnow . .
RUN make setup
ENV PATH="/winnow/.venv/bin:$PATH"
VOLUME ["/winnow/runs"]
ENTRYPOINT ["winnow"]
CMD ["--help"]
