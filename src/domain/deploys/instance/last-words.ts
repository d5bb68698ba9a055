/** What the instances of a deployment printed last, for the deployment's own log when they are why it failed. */
import type { App } from '../../../platform/work.ts'
import { ensureServiceLog, type LogLine, readLog } from '../log/index.ts'
import { instancesOf } from './launch.ts'
import { storeOutput } from './output.ts'
import { runtimePort } from './ports.ts'

/** Looked through, with what other instances of the service printed meanwhile. */
const tail = 500
const most = 30

/** At most 30 lines, oldest first; redacted as the service's log is, from which they come. */
export async function lastOutput(app: App, deployment: { id: string; organizationId: string; webServiceId: string }): Promise<LogLine[]> {
  const instances = await instancesOf(app.db.prisma, deployment.id)
  if (instances.length === 0) return []
  const seen = await runtimePort.use(app).observe(instances.map((instance) => instance.id))
  for (const [index, instance] of instances.entries()) {
    await storeOutput(app, instance, { final: seen[index]?.state === 'exited' })
  }
  const log = await ensureServiceLog(app.db.prisma, deployment)
  const { lines } = await readLog(app.db.prisma, log.id, { tail, limit: tail })
  const ids = new Set(instances.map((instance) => instance.id))
  return lines.filter((line) => line.stream !== 'system' && line.instanceId !== null && ids.has(line.instanceId)).slice(-most)
}
