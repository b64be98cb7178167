# Builds the book:
#   docker build -t npcbook .
#   docker run --rm -v "$PWD/data":/book/data npcbook
# Pages, tables and figures appear below data/runs. Any command of the library may follow:
#   docker run --rm -v "$PWD/data":/book/data npcbook book --profile smoke
FROM python:3.11-slim-bookworm
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends build-essential git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /book
COPY Makefile requirements.lock pyproject.toml README.md LICENSE ./
COPY tools tools
COPY npcbook npcbook
RUN make .venv/.ready
COPY . .
ENTRYPOINT [".venv/bin/python", "-m", "npcbook"]
CMD ["book"]
