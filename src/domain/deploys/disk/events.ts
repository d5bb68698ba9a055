import { z } from 'zod'
import type { Disk } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  diskId: z.string().describe('ID of the disk.'),
  webServiceId: z.string().describe('ID of the web service.'),
  projectId: z.string().describe('ID of the project.'),
  name: z.string().describe('Name of the disk.'),
  mountPath: z.string().describe('Path at which instances see the disk.'),
  sizeBytes: z.number().describe('Limit of the disk in bytes.'),
  usedBytes: z.number().nullable().describe('Bytes in use when they were last measured. Null if they have not been measured.'),
})

const sample: z.infer<typeof payload> = {
  diskId: 'disk_01h455vb4pex5vsknk084sn02q',
  webServiceId: 'svc_01h455vb4pex5vsknk084sn02q',
  projectId: 'proj_01h455vb4pex5vsknk084sn02q',
  name: 'uploads',
  mountPath: '/app/uploads',
  sizeBytes: 1_073_741_824,
  usedBytes: 4_718_592,
}

const diskEvent = (name: string, description: string, data = sample) =>
  defineEvent({ type: `disk.${name}`, version: 1, description, subject: 'Disk', schema: payload, sample: data })

export const diskEvents = {
  created: diskEvent('created', 'A disk was created. Instances get it when they start the next time.', { ...sample, usedBytes: null }),
  updated: diskEvent('updated', 'The name or the limit of a disk was changed.'),
  deleted: diskEvent('deleted', 'A disk was deleted. Its data is removed.'),
  overLimit: diskEvent('over_limit', 'A disk uses more than its limit. The next instance that starts with it cannot write to it.', {
    ...sample,
    usedBytes: 1_080_033_280,
  }),
}

export type DiskEvent = (typeof diskEvents)[keyof typeof diskEvents]

export const eventOf = ({ id, projectId, webServiceId, name, mountPath, sizeBytes, usedBytes }: Disk) => ({
  subjectId: id,
  projectId,
  data: {
    diskId: encodeId('Disk', id),
    webServiceId: encodeId('WebService', webServiceId),
    projectId: encodeId('Project', projectId),
    ...{ name, mountPath, sizeBytes, usedBytes },
  },
})
