/** The last output of a deployment's instances, for the log of a deployment that failed because of them. */
import type { App } from '../../../platform/work.ts'
import { ensureServiceLog, type LogLine, readLog } from '../log/index.ts'
import { instancesOf } from './launch.ts'
import { storeOutput } from './output.ts'
import { runtimePort } from './ports.ts'

/** Lines to search, including those of other instances of the service. */
const tail = 500
const maxLines = 30

/** At most 30 lines from the service's log, oldest first. They are redacted like that log. */
export async function lastOutput(app: App, deployment: { id: string; organizationId: string; webServiceId: string }): Promise<LogLine[]> {
  const instances = await instancesOf(app.db, deployment.id)
  if (instances.length === 0) return []
  const seen = await runtimePort.use(app).observe(instances.map((instance) => instance.id))
  for (const [index, instance] of instances.entries()) {
    await storeOutput(app, instance, { final: seen[index]?.state === 'exited' })
  }
  const log = await ensureServiceLog(app.db, deployment)
  const { lines } = await readLog(app.db, log.id, { tail, limit: tail })
  const ids = new Set(instances.map((instance) => instance.id))
  return lines.filter((line) => line.stream !== 'system' && line.instanceId !== null && ids.has(line.instanceId)).slice(-maxLines)
}
