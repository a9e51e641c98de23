# Rivercast in a container. Debian's glibc rather than Alpine's musl: the embedded log's library comes prebuilt
# for it, so that no compiler is needed.
#
#   docker build -t rivercast .
#   docker run -p 127.0.0.1:3000:3000 -e ALLOW_ANONYMOUS=true -v rivercast:/data rivercast
#
# A container has to listen on all its addresses to be reached at all, which Rivercast does only with keys to know
# tokens by (AUTH_HS256_SECRET and others), or when it is told that anybody may connect (ALLOW_ANONYMOUS). Without
# either keep its port on a loopback or private address. With TLS, the files readable for user 1000:
#
#   docker run -p 443:3000 -v /etc/rivercast/tls:/tls:ro -e TLS_CERT=/tls/tls.crt -e TLS_KEY=/tls/tls.key \
#     -e AUTH_HS256_SECRET -v rivercast:/data rivercast

FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.base.json tsconfig.build.json ./
COPY scripts scripts
COPY console console
COPY src src
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:20-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "const { TLS_CERT, PORT } = process.env; require(TLS_CERT ? 'https' : 'http').get({ host: '127.0.0.1', port: PORT.split(',')[0], path: '/healthz', rejectUnauthorized: false }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# One helper thread for V8: where cores are few, four take the time of the one that serves.
ENTRYPOINT ["node", "--v8-pool-size=1", "dist/cli/main.js"]
