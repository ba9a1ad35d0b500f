# A static binary in an image with nothing else, run by no one in particular.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=0.1.0-dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /freshet ./cmd/freshet \
 && mkdir /data

FROM scratch
COPY --from=build /freshet /freshet
# The authorities that Kafka's TLS and embedding endpoints are trusted by, unless others are named.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /data /data
COPY LICENSE examples/minilm/NOTICE /licenses/
USER 65532:65532
# It listens to others, so it starts with FRESHET_API_KEY, or FRESHET_INSECURE=true.
ENV FRESHET_DATA=/data FRESHET_LISTEN=0.0.0.0:6333
VOLUME /data
EXPOSE 6333
HEALTHCHECK --interval=10s --start-period=60s CMD ["/freshet", "health"]
ENTRYPOINT ["/freshet"]
CMD ["serve"]
