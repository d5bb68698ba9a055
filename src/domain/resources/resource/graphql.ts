/** What the GraphQL types of all kinds of supervised resources have in common: fields, and the mutations of their life. */
import type { OutputType } from '@pothos/core'
import type PrismaTypes from '../../../generated/pothos-types.ts'
import {
  enumType,
  findRelated,
  type InputBuilder,
  idField,
  mutation,
  payloadOf,
  type Types,
  versionFields,
} from '../../../graphql/builder/index.ts'
import type { Command } from '../../../platform/command.ts'
import { encodeId, type IdType } from '../../../platform/id.ts'
import { Environment } from '../../apps/environment/graphql.ts'
import { environmentListing } from '../../apps/environment/index.ts'
import { Project } from '../../apps/project/graphql.ts'
import { projectListing } from '../../apps/project/index.ts'
import { DesiredState } from '../../apps/web-service/graphql.ts'

export const ResourceStatus = enumType('ResourceStatus', 'Observed state of a managed resource.', {
  CREATING: 'Being created. It has not run yet.',
  RUNNING: 'Running and answering requests.',
  STARTING: 'Starting.',
  STOPPING: 'Stopping.',
  STOPPED: 'Stopped. Its data is kept.',
  FAILED:
    'Could not be started, exited unexpectedly or does not respond. See `statusMessage`. One that exited is started again automatically.',
  DELETING: 'Being deleted.',
})

/** Every kind has the columns that these fields read. TypeScript requires the builder of one type, and then infers no row from `select`. */
type FieldBuilder = PothosSchemaTypes.PrismaObjectFieldBuilder<Types, PrismaTypes['Database'], Placed>
type Placed = { id: string; projectId: string; environmentId: string }

/** The fields of every server that is supervised. `noun` is what descriptions call it. */
export function serverFields(builderOfType: unknown, type: IdType, noun: string) {
  const t = builderOfType as FieldBuilder
  return {
    id: t.id(idField(type)),
    status: t.expose('status', { type: ResourceStatus, description: `Observed state of the ${noun}.` }),
    statusMessage: t.exposeString('statusMessage', {
      nullable: true,
      description: `Why the ${noun} is not running, if it failed. Null otherwise.`,
    }),
    host: t.exposeString('host', { nullable: true, description: 'Host name or address that clients connect to.' }),
    port: t.exposeInt('port', { nullable: true, description: 'TCP port that clients connect to. Never changes.' }),
    ...versionFields(t),
  }
}

/** The fields of every kind that users name, start and stop. */
export function supervisedFields(builderOfType: unknown, type: IdType, noun: string) {
  const t = builderOfType as FieldBuilder
  return {
    ...serverFields(t, type, noun),
    name: t.exposeString('name', { description: `Name of the ${noun}.` }),
    slug: t.exposeString('slug', { description: `Slug of the ${noun}, unique within its environment.` }),
    project: t.field({
      type: Project,
      description: `Project that contains the ${noun}.`,
      select: { projectId: true } as never,
      resolve: ({ projectId }, _args, context, info) => findRelated(context, info, projectListing, projectId),
    }),
    environment: t.field({
      type: Environment,
      description: `Environment that contains the ${noun}.`,
      select: { environmentId: true } as never,
      resolve: ({ environmentId }, _args, context, info) => findRelated(context, info, environmentListing, environmentId),
    }),
    desiredState: t.expose('desiredState', {
      type: DesiredState,
      description: `Desired state of the ${noun}. See \`status\` for the observed state.`,
    }),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: commands of any kind
type LifecycleCommand = Command<any, any, any>
type Lifecycle = { start: LifecycleCommand; stop: LifecycleCommand; restart: LifecycleCommand; remove: LifecycleCommand }

/** The mutations that start, stop, restart and delete. `name` is the field of payloads. */
export function lifecycleMutations(
  { start, stop, restart, remove }: Lifecycle,
  { type, name, ref, noun, idText }: { type: IdType; name: string; ref: OutputType<Types>; noun: string; idText: string },
): void {
  const idInput = (t: InputBuilder) => ({ id: t.id({ required: true, description: idText }) })
  mutation(start, { input: idInput, payload: payloadOf(name, ref, `The started ${noun}.`) })
  mutation(stop, { input: idInput, payload: payloadOf(name, ref, `The stopped ${noun}.`) })
  mutation(restart, { input: idInput, payload: payloadOf(name, ref, `The restarted ${noun}.`) })
  mutation(remove, {
    versioned: true,
    input: (t) => ({
      ...idInput(t),
      force: t.boolean({ defaultValue: false, description: `Whether to delete the ${noun} even if services are connected to it.` }),
    }),
    payload: (t) => ({
      deletedId: t.id({ description: `ID of the deleted ${noun}.`, resolve: ({ deletedId }) => encodeId(type, deletedId) }),
    }),
  })
}
