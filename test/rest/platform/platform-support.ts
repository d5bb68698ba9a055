/** States that only a running worker causes, written directly. */

import { resolveServices } from '../../../src/domain/configuration/resolution/index.ts'
import { openValues, saveSnapshot } from '../../../src/domain/deploys/instance/index.ts'
import {
  appendLines,
  ensureDeploymentLog,
  ensureServiceLog,
  logLimits,
  type NewLine,
  runOf,
} from '../../../src/domain/deploys/log/index.ts'
import type { Deployment } from '../../../src/generated/prisma/client.ts'
import { systemCaller } from '../../../src/platform/access.ts'
import { row, run, sql } from '../../../src/platform/db/index.ts'
import { newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import type { TestServer } from '../support.ts'

/** A live deployment with a stored release. The previous live one is superseded. */
export async function goLive({ app }: TestServer, deploymentId: string): Promise<void> {
  const tx = app.db
  const digest = `sha256:${deploymentId.replaceAll('-', '').repeat(2)}`
  await run(
    tx,
    sql`update deployment set status = 'SUPERSEDED', finished_at = app_now() where status = 'LIVE'
        and web_service_id = (select web_service_id from deployment where id = ${deploymentId}::uuid)`,
  )
  await run(
    tx,
    sql`update deployment set status = 'LIVE', release_digest = ${digest}, started_at = app_now(), live_at = app_now(), finished_at = app_now(),
          commit_hash = ${'c'.repeat(40)}, commit_message = 'first' where id = ${deploymentId}::uuid`,
  )
  await run(
    tx,
    sql`insert into release (id, organization_id, web_service_id, deployment_id, digest, size_bytes)
        select ${newId()}::uuid, organization_id, web_service_id, id, ${digest}, 1 from deployment where id = ${deploymentId}::uuid`,
  )
  await run(
    tx,
    sql`update web_service set desired_state = 'RUNNING' where id = (select web_service_id from deployment where id = ${deploymentId}::uuid)`,
  )
}

/** What the service is given now becomes what the deployment was given. */
export async function pinPresentEnv({ app, acme }: TestServer, deploymentId: string): Promise<void> {
  await transact(app, systemCaller(acme.organizationId), { emits: app.domain.eventTypes.all }, async (work) => {
    const deployment = (await row<Deployment>(work.tx, sql`select * from deployment where id = ${deploymentId}::uuid`))!
    const { variables, warnings } = (await resolveServices(work, [deployment.webServiceId])).get(deployment.webServiceId)!
    const given = variables.filter(({ isReserved }) => !isReserved)
    await saveSnapshot(work, deployment, given, await openValues(work, deployment.organizationId, given), warnings)
  })
}

export async function setRuntime({ app }: TestServer, webServiceId: string, status: string): Promise<void> {
  await run(app.db, sql`update service_runtime set status = ${status}::runtime_status where web_service_id = ${webServiceId}::uuid`)
}

type LogOf = { webServiceId: string; deploymentId?: string }

/** Log lines as an instance or a build would print them. */
export async function print({ app, acme }: TestServer, { webServiceId, deploymentId }: LogOf, lines: Partial<NewLine>[]): Promise<void> {
  const { organizationId } = acme
  const { id } = deploymentId
    ? await ensureDeploymentLog(app.db, { organizationId, webServiceId, deploymentId })
    : await ensureServiceLog(app.db, { organizationId, webServiceId })
  const plain: NewLine = { at: new Date(), stream: 'stdout', level: null, instanceId: null, message: '', truncated: false }
  await transact(app, systemCaller(organizationId), { emits: app.domain.eventTypes.all }, (work) =>
    appendLines(
      work,
      id,
      lines.map((line) => runOf({ ...plain, ...line }, logLimits(app.settings).messageBytes)),
    ),
  )
}
