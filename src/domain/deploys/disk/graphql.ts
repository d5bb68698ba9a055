import {
  builder,
  columnsOf,
  findRelated,
  type InputBuilder,
  idField,
  loadRows,
  mutation,
  Node,
  payloadOf,
  versionFields,
} from '../../../graphql/builder/index.ts'
import { encodeId } from '../../../platform/id.ts'
import { WebService } from '../../apps/web-service/graphql.ts'
import { webServiceListing } from '../../apps/web-service/index.ts'
import { createDisk, deleteDisk, updateDisk } from './commands.ts'
import { variableOf } from './model.ts'
import { disksByService, findDisk } from './queries.ts'

export const Disk = builder.prismaObject('Disk', {
  description: 'A directory of a web service that outlives its instances. One instance at a time has it.',
  interfaces: [Node],
  select: { id: true },
  permission: 'view:web_services',
  fields: (t) => ({
    id: t.id(idField('Disk')),
    webService: t.field({
      type: WebService,
      description: 'The service that the disk belongs to.',
      select: { webServiceId: true },
      resolve: ({ webServiceId }, _args, context, info) => findRelated(context, info, webServiceListing, webServiceId),
    }),
    name: t.exposeString('name', { description: 'Name of the disk, unique within the service.' }),
    mountPath: t.exposeString('mountPath', { description: 'Path at which instances see the disk.' }),
    variable: t.string({
      description: 'Name of the variable that gives instances the path of the disk.',
      select: { name: true },
      resolve: ({ name }) => variableOf(name),
    }),
    sizeBytes: t.exposeFloat('sizeBytes', { description: 'Limit of the disk in bytes.' }),
    usedBytes: t.exposeFloat('usedBytes', {
      nullable: true,
      description: 'Bytes that the data occupied at `measuredAt`. Null before the first measurement.',
    }),
    measuredAt: t.expose('measuredAt', { type: 'DateTime', nullable: true, description: 'Time of the last measurement.' }),
    isOverLimit: t.exposeBoolean('overLimit', {
      description:
        'Whether the data exceeds the limit. Then the service is not deployed, and an instance that starts cannot write to the disk until the limit is increased.',
    }),
    ...versionFields(t),
  }),
})

builder.prismaObjectField(WebService, 'disks', (t) =>
  t.field({
    type: [Disk],
    extensions: { rows: 5 },
    description: 'Disks of the service, oldest first.',
    resolve: (service, _args, context, info) => loadRows(context, 'WebService.disks', service.id, columnsOf(info, 'Disk'), disksByService),
  }),
)

builder.queryField('disk', (t) =>
  t.field({
    type: Disk,
    nullable: true,
    description: 'Disk with the given ID. Null if it does not exist.',
    args: { id: t.arg.id({ required: true, description: 'ID of the disk.' }) },
    resolve: (_root, args, context, info) => context.call(findDisk, args, columnsOf(info, 'Disk')),
  }),
)

const nameText = 'from 1 to 50 lowercase letters, digits and hyphens, unique within the service'
const sizeText = 'from 1048576 (1 MiB) to 17592186044416 (16 TiB)'

mutation(createDisk, {
  input: (t: InputBuilder) => ({
    webServiceId: t.id({ required: true, description: 'ID of the service.' }),
    name: t.string({ required: true, description: `Name of the disk: ${nameText}.` }),
    mountPath: t.string({
      required: true,
      description:
        'Absolute path at which instances see the disk, such as `/data` or `/app/uploads`. It is neither a directory of the system nor `/app` itself, and not inside another disk. Content of the release at this path is hidden.',
    }),
    sizeBytes: t.float({ required: true, description: `Limit in bytes, ${sizeText}.` }),
  }),
  payload: payloadOf('disk', Disk, 'The created disk.'),
})

mutation(updateDisk, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the disk.' }),
    name: t.string({ description: `New name: ${nameText}.` }),
    sizeBytes: t.float({ description: `New limit in bytes, at least the present one, ${sizeText}.` }),
  }),
  payload: payloadOf('disk', Disk, 'The updated disk.'),
})

mutation(deleteDisk, {
  versioned: true,
  input: (t) => ({
    id: t.id({ required: true, description: 'ID of the disk.' }),
    force: t.boolean({ defaultValue: false, description: 'Whether to delete a disk in use, and restart the service without it.' }),
  }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted disk.', resolve: (result) => encodeId('Disk', result.deletedId) }),
  }),
})
