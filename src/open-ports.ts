/** The ports of a process, and what a start says when another program has one. */

import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { listProcesses } from './cli/process-record.ts'
import { inboundDomain, inboundMail } from './domain/access/mail/index.ts'
import { openTlsPort } from './domain/deploys/certificate/index.ts'
import { openRouter, routerPort } from './domain/deploys/instance/index.ts'
import { type MailReceiver, openMailReceiver } from './drivers/smtp/receiver.ts'
import { pause } from './platform/clock.ts'
import { reportFailure } from './platform/failure-log.ts'
import type { Settings } from './platform/settings.ts'
import type { App } from './platform/work.ts'
import type { S3Endpoint } from './s3/index.ts'

/** An error the operator can fix; printed without a stack trace. */
export class StartError extends Error {}

/** How long a start waits for another process of this installation that is starting and may have opened the router's port. */
const othersStartMs = 20_000

/** Opens the ports of the router. Another process of this installation, even one that is still starting, may have them already; other programs not. */
export async function openRouterPort(app: App): Promise<void> {
  const { DATA_DIR, ROUTER_PORT } = app.settings
  const router = routerPort.use(app)
  const deadline = performance.now() + othersStartMs
  for (;;) {
    await openRouter(app)
    await openTlsPort(app)
    const hasTlsPort = router.tls?.listens ?? true
    if (router.ready && hasTlsPort) return
    const others = (await listProcesses(DATA_DIR)).filter(({ pid }) => pid !== process.pid)
    if (others.some(({ serving }) => serving)) return
    if (others.length === 0 || performance.now() > deadline) {
      const [name, port] = router.ready ? ['ROUTER_TLS_PORT', router.tls?.port] : ['ROUTER_PORT', ROUTER_PORT]
      if (port !== 0) throw new StartError(`Port ${port} is in use by another program. Set ${name} to another port.`)
    }
    await pause(200)
  }
}

/**
 * Opens the port of the S3 endpoint, which other servers of this installation may have too. If another program has a port that nobody chose,
 * the endpoint gets a free one: a second installation on a machine starts with PORT and ROUTER_PORT alone.
 */
export async function openS3Port(app: App, s3: S3Endpoint): Promise<void> {
  const { DATA_DIR, S3_PORT, s3PortIsSet } = app.settings
  const shared = (await listProcesses(DATA_DIR)).some(({ pid }) => pid !== process.pid)
  if (await s3.listen({ shared })) return
  if (s3PortIsSet) throw new StartError(`Port ${S3_PORT} is in use by another program. Set S3_PORT to another port.`)
  await s3.listen({ shared: true, port: 0 })
  app.log.warn(
    { port: s3.port },
    `port ${S3_PORT} is in use, so object storage has another port until the next start; set S3_PORT to keep one`,
  )
}

const othersServing = async ({ DATA_DIR }: Settings) =>
  (await listProcesses(DATA_DIR)).filter(({ pid, serving }) => serving && pid !== process.pid)

/** Opens the port for reports about mail. Null without MAIL_IN_PORT. */
export async function openInbound(app: App): Promise<MailReceiver | null> {
  const { MAIL_IN_PORT: port, MAIL_IN_HOST, HOST } = app.settings
  if (port === undefined) return null
  const options = { host: MAIL_IN_HOST ?? HOST, port, name: inboundDomain(app.settings), handler: inboundMail(app) }
  const onError = (error: unknown) => void reportFailure(app, error, 'a report about mail could not be handled')
  try {
    return await openMailReceiver({ ...options, onError })
  } catch (error) {
    if (!['EADDRINUSE', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    throw new StartError(`Port ${port} cannot be opened for reports about mail. Set MAIL_IN_PORT to another port, or unset it.`)
  }
}

export async function listen(server: FastifyInstance, settings: Settings): Promise<string> {
  const { HOST, PORT } = settings
  try {
    await server.listen({ host: HOST, port: PORT })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    const own = (await othersServing(settings)).find((process) => process.port === PORT)
    throw new StartError(
      own
        ? `Port ${PORT} is in use by the server of this installation, which is already running (pid ${own.pid}). Stop it with \`npm stop\`. Set PORT to run another server beside it.`
        : `Port ${PORT} is in use by another program. Set PORT to another port.`,
    )
  }
  return apiAddress(settings, (server.server.address() as AddressInfo).port)
}

/** Where the API is reached, without a slash at the end. */
export const apiAddress = ({ PUBLIC_URL, HOST }: Settings, port: number): string =>
  PUBLIC_URL?.replace(/\/+$/, '') ?? `http://${reachableHost(HOST)}:${port}`

/** A host that clients on this machine can connect to. HOST may be every address. */
export const reachableHost = (host: string): string =>
  host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
