/**
 * The events of this contract: its words, the events of the domain that they stand for, and the data that is sent. One line adds a word: an
 * event, and what its data becomes.
 */
import { serverEvents } from '../../domain/apps/server/index.ts'
import { deploymentEvents, deploymentOverviews } from '../../domain/deploys/deployment/index.ts'
import { odooInstanceEvents } from '../../domain/odoo/odoo-instance/index.ts'
import { backupEvents } from '../../domain/resources/backup/index.ts'
import { systemCaller } from '../../platform/access.ts'
import { ask } from '../../platform/command.ts'
import type { EventDefinition } from '../../platform/events.ts'
import { decodeId, type IdType } from '../../platform/id.ts'
import type { App } from '../../platform/work.ts'
import { deploymentWordOf } from './vocabulary.ts'

type Word =
  | `deployment.${'triggered' | 'completed' | 'failed' | 'rolled_back'}`
  | `instance.${'created' | 'started' | 'stopped' | 'deleted' | 'error'}`
  | `server.${'created' | 'active'}`
  | `backup.${'completed' | 'failed'}`

/** Where an event is from. */
type Origin = { app: App; organizationId: string }

type Translate<Payload> = (payload: Payload, origin: Origin) => object | Promise<object>
type Line = { type: string; translate: Translate<unknown> }

const line = <Payload>({ type }: EventDefinition<Payload>, translate: Translate<Payload>): Line => ({
  type,
  translate: translate as Translate<unknown>,
})

type PayloadOf<Event> = Event extends EventDefinition<infer Payload> ? Payload : never
type DeploymentPayload = PayloadOf<typeof deploymentEvents.queued>
type BackupPayload = PayloadOf<typeof backupEvents.completed>
type InstancePayload = PayloadOf<typeof odooInstanceEvents.created>
type ServerPayload = PayloadOf<typeof serverEvents.created>

const idOrNull = (type: IdType, id: string | null) => id && decodeId(type, id)

/** `environmentId` is null once the service was removed. */
async function deploymentData(payload: DeploymentPayload, { app, organizationId }: Origin) {
  const deploymentId = decodeId('Deployment', payload.deploymentId)
  const request = { app, caller: systemCaller(organizationId), requestId: 'webhook' }
  const overviews = await ask(request, deploymentOverviews, { ids: [deploymentId] })
  return {
    deploymentId,
    instanceId: decodeId('WebService', payload.webServiceId),
    projectId: decodeId('Project', payload.projectId),
    environmentId: overviews.get(deploymentId)?.environmentId ?? null,
    branch: payload.branch,
    commitSha: payload.commitHash,
    status: deploymentWordOf({ status: payload.status, phase: null }, false),
    errorMessage: payload.failure?.message ?? null,
    restoredDeploymentId: idOrNull('Deployment', payload.restoresId),
  }
}

const backupData = ({ backupId, databaseId, projectId, sizeBytes, checksum, error }: BackupPayload) => ({
  backupId: decodeId('Backup', backupId),
  databaseId: idOrNull('Database', databaseId),
  projectId: decodeId('Project', projectId),
  sizeBytes,
  checksum,
  errorMessage: error,
})

const instanceData = ({ odooInstanceId, projectId, environmentId, name, slug, odooVersion }: InstancePayload) => ({
  instanceId: decodeId('OdooInstance', odooInstanceId),
  projectId: decodeId('Project', projectId),
  environmentId: decodeId('Environment', environmentId),
  ...{ name, slug, odooVersion },
})

const serverData = ({ serverId, name, host }: ServerPayload) => ({ serverId: decodeId('Server', serverId), name, host })

const lines = {
  'deployment.triggered': line(deploymentEvents.queued, deploymentData),
  'deployment.completed': line(deploymentEvents.succeeded, deploymentData),
  'deployment.failed': line(deploymentEvents.failed, deploymentData),
  'deployment.rolled_back': line(deploymentEvents.rolledBack, deploymentData),
  'instance.created': line(odooInstanceEvents.created, instanceData),
  'instance.started': line(odooInstanceEvents.started, instanceData),
  'instance.stopped': line(odooInstanceEvents.stopped, instanceData),
  'instance.deleted': line(odooInstanceEvents.deleted, instanceData),
  'instance.error': line(odooInstanceEvents.failed, instanceData),
  'server.created': line(serverEvents.created, serverData),
  'server.active': line(serverEvents.active, serverData),
  'backup.completed': line(backupEvents.completed, backupData),
  'backup.failed': line(backupEvents.failed, backupData),
} satisfies Record<Word, Line>

export const eventWords = Object.keys(lines) as (keyof typeof lines)[]

const byType = new Map(Object.entries(lines).map(([word, { type, translate }]) => [type, { word, translate }]))

/** An event type without a word in this contract, which an endpoint of GraphQL may have, keeps its own. */
export const eventWordOf = (type: string): string => byType.get(type)?.word ?? type
export const eventTypeOf = (word: unknown): unknown =>
  typeof word === 'string' && Object.hasOwn(lines, word) ? lines[word as keyof typeof lines].type : word

/** The data of an event without a word is sent as it is. */
export const dataOf = (type: string, data: unknown, origin: Origin): unknown => byType.get(type)?.translate(data, origin) ?? data
