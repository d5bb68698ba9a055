import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import type { WebhookEndpoint } from '../../../generated/prisma/client.ts'
import { writeAudit } from '../../../platform/audit.ts'
import { changes, defineCommand, impliedProject, visible } from '../../../platform/command.ts'
import { assignments, newRow, row, rows, run, sql } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { encodeId, newId } from '../../../platform/id.ts'
import type { App, Work } from '../../../platform/work.ts'
import type { OrganizationContents } from '../../access/organization/index.ts'
import { demandPatterns, subjectTypesOf, versionsOf } from '../event-type/index.ts'
import { endpointErrors } from './errors.ts'
import { webhookEndpointCreated, webhookEndpointDeleted, webhookEndpointDisabled, webhookEndpointUpdated } from './events.ts'
import { insertKey, signingKeyFrom } from './key.ts'
import { headersIdentity, maxEndpoints } from './model.ts'
import { outgoingHttp, selectionPort } from './ports.ts'
import { openHeaders } from './queries.ts'
import { type EndpointInput, keyTypes, settingColumns, settingsInput, urlSchema } from './settings.ts'

export const createWebhookEndpoint = defineCommand({
  name: 'createWebhookEndpoint',
  description: `Creates a webhook endpoint. It receives only events that occur after its creation. Fails with \`webhook_endpoint_limit\` if the organization already has ${maxEndpoints} endpoints.`,
  permission: 'manage:webhooks',
  ids: { projectId: 'Project' },
  targetType: 'WebhookEndpoint',
  input: settingsInput.extend({
    url: urlSchema,
    secret: z.string().nullish(),
    secretText: z.string().nullish(),
    keyType: z.enum(keyTypes).nullish(),
    disabled: z.boolean().nullish(),
  }),
  emits: [webhookEndpointCreated],
  once: ['secret'],
  prepare: ({ app }, { url }) => problemOfUrl(app, url),
  run: (work, input, _target, urlProblem) => addEndpoint(work, input, urlProblem, {}),
})

type NewEndpoint = EndpointInput & {
  url: string
  secret?: string | null | undefined
  secretText?: string | null | undefined
  keyType?: (typeof keyTypes)[number] | null | undefined
  disabled?: boolean | null | undefined
}
/** The columns that an endpoint of an email service has besides its settings. */
type EmailColumns = Partial<Pick<WebhookEndpoint, 'format' | 'emailServiceId'>>

/** Adds an endpoint, with its event. `urlProblem` is what `problemOfUrl` found. */
export async function addEndpoint(work: Work, input: NewEndpoint, urlProblem: string | null, columnsOfEmail: EmailColumns) {
  const { organizationId } = work.caller
  demandPatterns(work.app.domain.eventTypes, input.eventTypes ?? [], 'eventTypes')
  checkVersion(work, input.schemaVersion, input.eventTypes)
  const key = signingKeyFrom(work.app, input)
  const projectId = await resolveProjectId(work, input.projectId ?? null)
  if (urlProblem) throw invalidUrl(urlProblem)
  checkSelection(work, { ...input, eventTypes: input.eventTypes ?? [] }, projectId, viewRights(work))
  await enforceEndpointLimit(work)
  const id = newId()
  const columns = {
    id,
    organizationId,
    projectId,
    url: input.url,
    ...settingColumns(work.app, input),
    ...(await headerColumns(work, id, input.headers)),
    selectionRights: input.selection ? viewRights(work) : [],
    ...columnsOfEmail,
  }
  await run(work.tx, sql`insert into webhook_endpoint ${newRow(columns)}`)
  if (input.disabled) await run(work.tx, sql`update webhook_endpoint set ${disabling(manually)} where id = ${id}::uuid`)
  const webhookEndpoint = await insertKey(work, id, key)
  await publish(work, webhookEndpointCreated, published(webhookEndpoint))
  return { webhookEndpoint, secret: key.secretToReturn }
}

export const lockEndpoint = (work: Work, ids: Record<string, string>) =>
  row<WebhookEndpoint>(
    work.tx,
    sql`select e.* from webhook_endpoint e where e.id = ${ids.id}::uuid and ${visible(work.caller, sql`e`)} for update`,
  )

export const updateWebhookEndpoint = defineCommand({
  name: 'updateWebhookEndpoint',
  description:
    'Updates a webhook endpoint. Omitted fields keep their value; null restores the default. Disabling the endpoint skips its pending messages. Enabling it sends only events that occur from then on. An update that changes nothing returns the endpoint unchanged.',
  permission: 'manage:webhooks',
  ids: { id: 'WebhookEndpoint', projectId: 'Project' },
  targetType: 'WebhookEndpoint',
  target: lockEndpoint,
  input: settingsInput.extend({ url: urlSchema.nullish(), disabled: z.boolean().nullish() }),
  emits: [webhookEndpointUpdated, webhookEndpointDisabled],
  prepare: async ({ app }, { url }) => (url ? problemOfUrl(app, url) : null),
  async run(work, input, target: WebhookEndpoint, urlProblem) {
    if (input.url === null) throw invalidUrl('must not be null; omit it to keep the current URL')
    demandPatterns(work.app.domain.eventTypes, input.eventTypes ?? [], 'eventTypes')
    if (input.schemaVersion !== target.schemaVersion)
      checkVersion(work, input.schemaVersion, input.eventTypes === undefined ? target.eventTypes : input.eventTypes)
    const projectId = input.projectId === undefined ? undefined : await resolveProjectId(work, input.projectId)
    if (urlProblem && input.url !== target.url) throw invalidUrl(urlProblem)
    const rights = await recheckedRights(work, input, target, projectId)
    const disables = input.disabled === true && target.disabledAt === null
    const columns = {
      url: input.url,
      projectId,
      ...settingColumns(work.app, input, target),
      ...(rights ? { selectionRights: rights } : {}),
      ...(input.disabled === false ? { disabledAt: null, disabledReason: null } : {}),
    }
    const isChanged = disables || changes(target, columns)
    if (!isChanged && !(await changesHeaders(work.app, target, input.headers))) return { webhookEndpoint: target }
    const disabled = disables ? await markDisabled(work, target.id, manually) : null
    const set = assignments({
      ...columns,
      ...(await headerColumns(work, target.id, input.headers)),
      version: disabled ? disabled.version : target.version + 1,
    })
    const webhookEndpoint = (await row<WebhookEndpoint>(
      work.tx,
      sql`update webhook_endpoint set ${set} where id = ${target.id}::uuid returning *`,
    ))!
    await publish(work, webhookEndpointUpdated, published(webhookEndpoint))
    if (disabled) await publishDisabled(work, webhookEndpoint)
    return { webhookEndpoint }
  },
})

export const deleteWebhookEndpoint = defineCommand({
  name: 'deleteWebhookEndpoint',
  description: 'Deletes a webhook endpoint and cancels its pending deliveries. Its attempts remain readable through their messages.',
  permission: 'delete:webhooks',
  ids: { id: 'WebhookEndpoint' },
  targetType: 'WebhookEndpoint',
  target: lockEndpoint,
  input: z.object({}),
  emits: [webhookEndpointDeleted],
  async run(work, _input, target: WebhookEndpoint) {
    await remove(work, target)
    return { deletedId: target.id }
  },
})

/** Deletes the endpoints of a project that is being deleted, each with an event and an audit entry. */
export async function deleteEndpointsOfProject(work: Work, projectId: string): Promise<void> {
  const endpoints = await rows<WebhookEndpoint>(
    work.tx,
    sql`select * from webhook_endpoint where project_id = ${projectId}::uuid order by id for update`,
  )
  for (const endpoint of endpoints) {
    await remove(work, endpoint)
    const target = { type: 'WebhookEndpoint', before: endpoint, after: null } as const
    writeAudit(work, { action: deleteWebhookEndpoint.name, target, details: { reason: 'project deleted' } })
  }
}

const endpointsPerStep = 50

export const endpointsOfOrganization: OrganizationContents = {
  name: 'webhook endpoints',
  phase: 'objects',
  emits: [webhookEndpointDeleted],
  async remove(work) {
    const endpoints = await rows<WebhookEndpoint>(
      work.tx,
      sql`select * from webhook_endpoint where organization_id = ${work.caller.organizationId}::uuid order by id limit ${endpointsPerStep} for update`,
    )
    for (const endpoint of endpoints) await remove(work, endpoint)
    return endpoints.length < endpointsPerStep ? 'done' : 'more'
  },
}

export async function remove(work: Work, endpoint: WebhookEndpoint): Promise<void> {
  await run(work.tx, sql`delete from webhook_endpoint where id = ${endpoint.id}::uuid`)
  await publish(work, webhookEndpointDeleted, published(endpoint))
}

/** Disables an endpoint on behalf of the system, such as after 410 Gone. Returns false if it is already disabled or deleted. */
export async function disableEndpoint(work: Work, id: string, reason: string): Promise<boolean> {
  const endpoint = await markDisabled(work, id, reason)
  if (endpoint) await publishDisabled(work, endpoint)
  return endpoint !== null
}

const publishDisabled = (work: Work, { id, projectId, description, disabledReason }: WebhookEndpoint) =>
  publish(work, webhookEndpointDisabled, {
    subjectId: id,
    projectId,
    data: { webhookEndpointId: encodeId('WebhookEndpoint', id), description, reason: disabledReason ?? '' },
  })

const manually = 'Disabled manually.'
const disabling = (reason: string) => sql`disabled_at = app_now(), disabled_reason = ${reason}`

const markDisabled = (work: Work, id: string, reason: string) =>
  row<WebhookEndpoint>(
    work.tx,
    sql`update webhook_endpoint set ${disabling(reason)}, version = version + 1
        where id = ${id}::uuid and disabled_at is null returning *`,
  )

/** Why the URL cannot be used, or null. Checked again before each request, because the name may resolve to another address by then. */
export const problemOfUrl = (app: App, url: string): Promise<string | null> => outgoingHttp.use(app).check(url)
const invalidUrl = (text: string) => errors.invalid_input({ field: 'url', text: `url: ${text}` })

/** Refuses a schema version that none of the endpoint's event types has, which can only be a mistake. */
function checkVersion(work: Work, schemaVersion: number | null | undefined, eventTypes: readonly string[] | null | undefined): void {
  if (schemaVersion === null || schemaVersion === undefined) return
  const known = versionsOf(work.app.domain.eventTypes, eventTypes ?? [])
  if (!known.includes(schemaVersion))
    throw errors.invalid_input({
      field: 'schemaVersion',
      text: `schemaVersion: none of the endpoint's event types has version ${schemaVersion}; available versions: ${known.join(', ')}`,
    })
}

/** The view permissions of the caller. A selection runs with those of its author, and cannot change anything. */
const viewRights = (work: Work): string[] => [...work.caller.permissions].filter((permission) => permission.startsWith('view:'))

type Selecting = Pick<EndpointInput, 'selection' | 'format'> & { eventTypes: readonly string[] }

function checkSelection(work: Work, { selection, format, eventTypes }: Selecting, projectId: string | null, permissions: string[]): void {
  if (selection === null || selection === undefined) return
  const refuse = (text: string) => errors.invalid_input({ field: 'selection', text: `selection: ${text}` })
  if (format && format !== 'RAW') throw refuse('is supported only with format RAW')
  const problem = selectionPort.use(work.app).check({
    selection,
    subjectTypes: subjectTypesOf(work.app.domain.eventTypes, eventTypes),
    rights: { organizationId: work.caller.organizationId, projectId, permissions },
  })
  if (problem) throw refuse(problem)
}

/** Checks the selection again if it or anything it depends on changes. Returns the rights to store with a new one, or null to keep them. */
async function recheckedRights(
  work: Work,
  input: EndpointInput,
  target: WebhookEndpoint,
  projectId: string | null | undefined,
): Promise<string[] | null> {
  const selection = input.selection === undefined ? target.selection : input.selection
  if (selection === null) return target.selection === null ? null : []
  const isNew = input.selection !== undefined && input.selection !== target.selection
  const rights = isNew ? viewRights(work) : target.selectionRights
  if (isNew || input.eventTypes !== undefined || input.format !== undefined || projectId !== undefined) {
    const eventTypes = input.eventTypes === undefined ? target.eventTypes : (input.eventTypes ?? [])
    const format = input.format === undefined ? target.format : input.format
    checkSelection(work, { selection, format, eventTypes }, projectId === undefined ? target.projectId : projectId, rights)
  }
  return isNew ? rights : null
}

async function headerColumns(work: Work, endpointId: string, headers: EndpointInput['headers']) {
  if (headers === undefined) return {}
  const names = Object.keys(headers ?? {})
  if (names.length === 0) return { headerNames: [], sealedHeaders: null }
  const { organizationId } = work.caller
  const sealedHeaders = await work.app.keyring.seal(work.tx, organizationId, headersIdentity(endpointId), JSON.stringify(headers))
  return { headerNames: names, sealedHeaders }
}

/** Whether the headers differ from the stored ones. Stored headers that cannot be decrypted always count as different. */
async function changesHeaders(app: App, { id, organizationId, sealedHeaders }: WebhookEndpoint, headers: EndpointInput['headers']) {
  if (headers === undefined) return false
  const current = await openHeaders(app, id, organizationId, sealedHeaders).catch(() => null)
  return !isDeepStrictEqual(current, { ...headers })
}

/** The project to restrict the endpoint to. A caller that is limited to projects can only create endpoints of those. */
async function resolveProjectId(work: Work, requested: string | null): Promise<string | null> {
  const projectId = requested ?? impliedProject(work.caller)
  if (projectId === null) return null
  const project = await row(
    work.tx,
    sql`select p.id from project p where p.id = ${projectId}::uuid and ${visible(work.caller, sql`p`, sql`id`)} and p.deleting_at is null
        for key share`,
  )
  if (!project) throw errors.not_found({ field: 'projectId' })
  return projectId
}

/** Counts under a lock, so that two concurrent creations cannot both pass the check. */
async function enforceEndpointLimit(work: Work): Promise<void> {
  const { organizationId } = work.caller
  await lock(work.tx, `webhook_endpoint:${organizationId}`)
  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select count(*)::int as n from webhook_endpoint where organization_id = ${organizationId}::uuid`,
  ))!
  if (n >= maxEndpoints) throw endpointErrors.webhook_endpoint_limit()
}

export const published = (endpoint: WebhookEndpoint) => ({
  subjectId: endpoint.id,
  projectId: endpoint.projectId,
  data: {
    webhookEndpointId: encodeId('WebhookEndpoint', endpoint.id),
    description: endpoint.description,
    eventTypes: endpoint.eventTypes,
    projectId: endpoint.projectId && encodeId('Project', endpoint.projectId),
    disabled: endpoint.disabledAt !== null,
    disabledReason: endpoint.disabledReason,
  },
})
