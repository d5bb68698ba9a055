/**
 * `mail`: mails queued per second, each in a transaction of its own with a durable PostgreSQL, and mails sent per second over SMTP to a server
 * in this process, each signed by DKIM and recorded. Goals: 1 ms of CPU time for a queued mail and 5 ms for a sent one.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { mailConcurrency, mailTransport, type NewMail, queueMail } from '../../src/domain/access/mail/index.ts'
import { mailQueue } from '../../src/domain/access/mail/jobs.ts'
import { startEmbeddedPostgres } from '../../src/drivers/postgres/index.ts'
import { createSmtpTransport } from '../../src/drivers/smtp/index.ts'
import { startJobs } from '../../src/jobs/index.ts'
import { systemCaller } from '../../src/platform/access.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { row, sql } from '../../src/platform/db/index.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { newId } from '../../src/platform/id.ts'
import { Secret } from '../../src/platform/settings.ts'
import { type App, transact } from '../../src/platform/work.ts'
import { createTestApp } from '../support/app.ts'
import { openMailServer } from '../support/mail-server.ts'
import { until } from '../support/wait.ts'
import type { BenchResult } from './run.ts'

const mails = Number(process.argv[3] ?? 2_000)
const writers = 8
const goals = { queuedMicros: 1_000, sentMicros: 5_000 }

export default async function mail(): Promise<BenchResult> {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-bench-'))
  const postgres = await startEmbeddedPostgres({ dataDir })
  const server = await openMailServer()
  try {
    const url = await createDatabase(postgres.url, 'bench', 'template0')
    await migrate({ url, directory: join(import.meta.dirname, '..', '..', 'prisma', 'migrations') })
    const app = await createTestApp(url, { LOG_LEVEL: 'silent' })
    const smtp = createSmtpTransport({ url: new Secret(server.url), maxConnections: mailConcurrency })
    mailTransport.provide(app, smtp)

    const queueing = await measure(() => queueAll(app))
    const sending = await measure(async () => {
      const jobs = startJobs(app, { queues: [mailQueue], chores: [] })
      await until('all mails are recorded', async () => !(await isPending(app)), 600_000)
      await jobs.stop({ graceMs: 1_000 })
    })
    const received = server.received.length
    smtp.close()
    await app.close()
    return {
      scenario: `mail (${cpus().length} cores)`,
      passed: queueing.cpuMicros <= goals.queuedMicros && sending.cpuMicros <= goals.sentMicros && received === mails,
      rows: [
        { figure: 'mails queued a second', value: queueing.perSecond, goal: '' },
        { figure: 'CPU of this process a queued mail, µs', value: queueing.cpuMicros, goal: goals.queuedMicros },
        { figure: 'mails sent and recorded a second', value: sending.perSecond, goal: '' },
        { figure: 'CPU of this process a sent mail (with the SMTP server), µs', value: sending.cpuMicros, goal: goals.sentMicros },
        { figure: 'received', value: received, goal: mails },
      ],
    }
  } finally {
    await server.close()
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function measure(act: () => Promise<unknown>): Promise<{ perSecond: number; cpuMicros: number }> {
  const [from, cpu] = [performance.now(), process.cpuUsage()]
  await act()
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: Math.round((mails / (performance.now() - from)) * 1_000), cpuMicros: Math.round((user + system) / mails) }
}

async function queueAll(app: App): Promise<void> {
  const organizationId = newId()
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signing = {
    ...{ domain: 'shop.example', selector: 'quayside' },
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
  const content = {
    subject: 'Your order',
    text: 'The order is on its way. '.repeat(40),
    html: `<p>${'The order is on its way. '.repeat(40)}</p>`,
  }
  const mail = { organizationId, purpose: 'bench', from: 'shop@shop.example', ...content, signing }
  const queueOne = (to: string) =>
    transact(app, systemCaller(organizationId), {}, (work) => queueMail(work, { ...mail, to: [to] } satisfies NewMail))
  let next = 0
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (next < mails) await queueOne(`user${next++}@example.com`)
    }),
  )
}

const isPending = async (app: App) => (await row(app.db, sql`select 1 as one from mail where status = 'PENDING' limit 1`)) !== null
