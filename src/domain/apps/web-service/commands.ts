import { z } from 'zod'
import type { DesiredState, WebService, WebServiceKind } from '../../../generated/prisma/client.ts'
import { changes, defineCommand, visible } from '../../../platform/command.ts'
import { assignments, newRow, row, rows, run, sql, violated } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import { slugFrom } from '../../../platform/name.ts'
import type { SettingsInput } from '../../../platform/row-settings.ts'
import { insertWithSlug, slugErrors } from '../../../platform/slug.ts'
import type { Work } from '../../../platform/work.ts'
import { environmentCreated, placeFor } from '../environment/index.ts'
import { projectCreated } from '../project/index.ts'
import { demandPlaceable } from '../server/index.ts'
import { holdsFor, serviceCondition } from './conditions.ts'
import { webServiceErrors } from './errors.ts'
import {
  type WebServiceEvent,
  webServiceCreated,
  webServiceDeleted,
  webServiceRestarted,
  webServiceStarted,
  webServiceStopped,
  webServiceUpdated,
} from './events.ts'
import { type RepositoryColumns, repositoryColumns } from './repository.ts'
import { createWebServiceSchema, type SettingColumns, serviceSettings, updateWebServiceSchema } from './settings.ts'

/** Locks the service. Null if it does not exist or was deleted. */
const lockService = (work: Work, ids: Record<string, string>) =>
  row<WebService>(
    work.tx,
    sql`select s.* from web_service s where s.id = ${ids.id}::uuid and ${visible(work.caller, sql`s`)} and s.desired_state <> 'DELETED' for update`,
  )

export const createWebService = defineCommand({
  name: 'createWebService',
  description:
    "Creates a web service. Nothing is deployed until `deployWebService` is called. The service belongs to the given environment or, by default, to the project's production environment.",
  permission: 'manage:web_services',
  ids: { projectId: 'Project', environmentId: 'Environment', serverId: 'Server', sshKeyId: 'SshKey' },
  targetType: 'WebService',
  input: createWebServiceSchema,
  emits: [webServiceCreated, projectCreated, environmentCreated],
  async run(work, input) {
    refuseOdoo(input.kind)
    return { webService: await insertWebService(work, input) }
  },
})

/** Adds a service of any kind. */
export async function insertWebService(work: Work, input: z.infer<typeof createWebServiceSchema>): Promise<WebService> {
  if (input.serverId) await demandPlaceable(work, input.serverId)
  const environment = await placeFor(work, input)
  const id = newId()
  const { organizationId, projectId, id: environmentId } = environment
  const data = {
    id,
    organizationId,
    projectId,
    environmentId,
    name: input.name,
    kind: input.kind ?? 'WEB',
    desiredState: 'STOPPED' as const,
    ...(await settingColumns(work, id, input)),
  }
  const webService = await insertWithSlug({ requested: input.slug, generated: slugFrom(input.name, 'service') }, (slug) =>
    row<WebService>(work.tx, sql`insert into web_service ${newRow({ ...data, slug })} on conflict (slug) do nothing returning *`),
  )
  await publishServiceEvent(work, webServiceCreated, webService)
  return webService
}

export const updateWebService = defineCommand({
  name: 'updateWebService',
  description:
    'Updates the settings of a web service. Omitted fields keep their value. Null clears an optional field or restores its default; an empty string is refused. `slug`, `minInstances`, `maxInstances` and `shutdownGraceMs` take effect immediately. Other settings of builds and instances take effect with the next deployment. An update that changes nothing returns the service unchanged.',
  permission: 'manage:web_services',
  ids: { id: 'WebService', sshKeyId: 'SshKey' },
  targetType: 'WebService',
  target: lockService,
  input: updateWebServiceSchema,
  emits: [webServiceUpdated],
  async run(work, input, target: WebService) {
    if (input.kind !== undefined && input.kind !== target.kind) {
      refuseOdoo(input.kind)
      if (target.kind === 'ODOO') throw errors.invalid_input({ field: 'kind', text: 'kind: cannot be changed for an Odoo instance' })
      if (await holdsFor(work, target.id, 'isKindInUse')) throw webServiceErrors.kind_in_use({ field: 'kind' })
    }
    const wanted = { name: input.name, slug: input.slug, kind: input.kind, ...(await settingColumns(work, target.id, input, target)) }
    if (!changes(target, wanted)) return { webService: target }
    const isOne = wanted.maxInstances === 1 && input.kind !== 'STATIC_SITE'
    if (!isOne && (await holdsFor(work, target.id, 'needsOneInstance'))) {
      throw webServiceErrors.one_instance_only({ field: input.kind === 'STATIC_SITE' ? 'kind' : 'maxInstances' })
    }
    const webService = (await row<WebService>(
      work.tx,
      sql`update web_service set ${assignments(wanted)}, version = version + 1 where id = ${target.id}::uuid returning *`,
    ).catch((error: unknown) => {
      if (violated(error)?.constraint !== 'web_service_slug_key') throw error
      throw slugErrors.slug_taken({ field: 'slug', details: { slug: input.slug }, cause: error })
    }))!
    await publishServiceEvent(work, webServiceUpdated, webService)
    work.wake('instances', 'routes')
    return { webService }
  },
})

/** The columns of the settings, from `input`, else from `current`, else the defaults. */
async function settingColumns(
  work: Work,
  id: string,
  input: SettingsInput<SettingColumns> & Pick<SettingsInput<RepositoryColumns>, 'sshKeyId'>,
  current?: WebService,
) {
  const values = serviceSettings.values(work.app, input, current)
  if (values.minInstances > values.maxInstances)
    throw errors.invalid_input({ field: 'maxInstances', text: 'maxInstances: must be greater than or equal to minInstances' })
  return { ...values, ...(await repositoryColumns(work, id, input, current)) }
}

type DesiredStateCommand = {
  name: string
  description: string
  event: WebServiceEvent
  /** Returns the changed row, or `target` itself if nothing changes. */
  change: (work: Work, target: WebService) => Promise<WebService>
}

/** A command without input that changes the desired state of a service. */
const desiredStateCommand = ({ name, description, event, change }: DesiredStateCommand) =>
  defineCommand({
    name,
    description,
    permission: 'manage:web_services',
    ids: { id: 'WebService' },
    targetType: 'WebService',
    target: lockService,
    input: z.object({}),
    emits: [event],
    async run(work, _input, target: WebService) {
      const webService = await change(work, target)
      if (webService !== target) await publishServiceEvent(work, event, webService)
      return { webService }
    },
  })

export const startWebService = desiredStateCommand({
  name: 'startWebService',
  description:
    'Starts a stopped web service with its live release. Fails with `no_live_deployment` if the service has no live deployment. Starting a running service returns it unchanged.',
  event: webServiceStarted,
  async change(work, target) {
    await demandLive(work, target)
    return target.desiredState === 'RUNNING' ? target : setDesiredState(work, target.id, 'RUNNING')
  },
})

export const stopWebService = desiredStateCommand({
  name: 'stopWebService',
  description:
    'Stops all instances of a web service. The live release is kept. A deployment that is queued or in progress goes live stopped. Stopping a stopped service returns it unchanged.',
  event: webServiceStopped,
  change: async (work, target) =>
    target.desiredState === 'STOPPED' && !(await holdsFor(work, target.id, 'willStart'))
      ? target
      : setDesiredState(work, target.id, 'STOPPED'),
})

export const restartWebService = desiredStateCommand({
  name: 'restartWebService',
  description:
    'Restarts a web service. New instances of the live release are started before the old ones are stopped, unless the service has a disk. A stopped service is started. Fails with `no_live_deployment` if the service has no live deployment.',
  event: webServiceRestarted,
  async change(work, target) {
    await demandLive(work, target)
    work.wake('instances')
    return (await row<WebService>(
      work.tx,
      sql`update web_service set desired_state = 'RUNNING', generation = generation + 1, version = version + 1
          where id = ${target.id}::uuid returning *`,
    ))!
  },
})

export const deleteWebService = defineCommand({
  name: 'deleteWebService',
  description:
    'Deletes a web service. Its active deployment is cancelled and its instances are stopped, then the service is removed. It remains readable until then.',
  permission: 'delete:web_services',
  ids: { id: 'WebService' },
  targetType: 'WebService',
  target: (work, ids) =>
    row<WebService>(
      work.tx,
      sql`select s.* from web_service s where s.id = ${ids.id}::uuid and ${visible(work.caller, sql`s`)} for update`,
    ),
  input: z.object({}),
  emits: [webServiceDeleted],
  async run(work, _input, target: WebService) {
    const webService = target.desiredState === 'DELETED' ? target : await markDeleted(work, target)
    return { deletedId: target.id, webService: webService as WebService | null }
  },
})

async function markDeleted(work: Work, target: WebService): Promise<WebService> {
  const webService = await setDesiredState(work, target.id, 'DELETED')
  await publishServiceEvent(work, webServiceDeleted, webService)
  work.wake('purge')
  return webService
}

/** Deletes the services of an environment that is deleted with `cascade`. */
export async function markAllDeleted(work: Work, environmentId: string): Promise<void> {
  const services = await rows<WebService>(
    work.tx,
    sql`select * from web_service where environment_id = ${environmentId}::uuid and desired_state <> 'DELETED' order by id for update`,
  )
  for (const service of services) await markDeleted(work, service)
}

/** Sets the desired state of a service; the reconciler starts and stops its instances. Also used when a deployment goes live. */
export async function setDesiredState(work: Work, id: string, desiredState: DesiredState): Promise<WebService> {
  work.wake('instances')
  return (await row<WebService>(
    work.tx,
    sql`update web_service set desired_state = ${desiredState}::desired_state, version = version + 1 where id = ${id}::uuid returning *`,
  ))!
}

/** Replaces the instances of a service, without a restart that its users asked for. */
export async function replaceInstances(work: Work, id: string): Promise<void> {
  work.wake('instances')
  await run(work.tx, sql`update web_service set generation = generation + 1 where id = ${id}::uuid`)
}

async function demandLive(work: Work, service: WebService): Promise<void> {
  if (!(await holdsFor(work, service.id, 'isLive'))) throw webServiceErrors.no_live_deployment({ field: 'id' })
}

/** An Odoo instance has a database and a disk of its own. */
function refuseOdoo(kind: WebServiceKind | null | undefined): void {
  if (kind === 'ODOO') throw errors.invalid_input({ field: 'kind', text: 'kind: ODOO is only for createOdooInstance' })
}

const publishServiceEvent = (work: Work, event: WebServiceEvent, service: WebService) =>
  publish(work, event, {
    subjectId: service.id,
    projectId: service.projectId,
    data: {
      webServiceId: encodeId('WebService', service.id),
      projectId: encodeId('Project', service.projectId),
      environmentId: encodeId('Environment', service.environmentId),
      name: service.name,
      slug: service.slug,
      kind: service.kind,
    },
  })

/** Removes the rows of deleted services that nothing keeps, such as an instance, a release or a deployment in progress. */
export async function removeDeleted(work: Work): Promise<void> {
  const removed = await run(
    work.tx,
    sql`delete from web_service s where s.desired_state = 'DELETED' and not ${serviceCondition(work, 'isKept')}`,
  )
  if (removed > 0) work.wake('purge environments', 'sweep')
}
