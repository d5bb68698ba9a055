import { z } from 'zod'
import type { Environment } from '../../../generated/prisma/client.ts'
import { defineQuery } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { countQuery, defineListing, findQuery, listQuery } from '../../../platform/listing.ts'
import { type Slice, sliceInput } from '../../../platform/page.ts'
import { projectListing } from '../project/index.ts'

export const environmentListing = defineListing({
  type: 'Environment',
  noun: 'environment',
  permission: 'view:environments',
  order: 'oldest_first',
  audited: ['name', 'slug', 'type', 'projectId'],
  filter: { projectId: z.string().nullish() },
  ids: { projectId: 'Project' },
  parents: ['projectId'],
})

export const listEnvironments = listQuery(environmentListing)
export const countEnvironments = countQuery(environmentListing)
export const findEnvironment = findQuery(environmentListing)

export const sliceEnvironments = defineQuery({
  name: 'environmentSlice',
  description: 'Environments of a project by offset, with their total number. Fails with `not_found` if the project does not exist.',
  permission: 'view:environments',
  ids: { projectId: 'Project' },
  input: z.object({ projectId: z.string(), ...sliceInput }),
  async run(read, { projectId, ...slice }): Promise<Slice<Environment>> {
    const project = await projectListing.findOne({ ...read, columns: ['id'] }, sql`t.id = ${projectId}::uuid`)
    if (!project) throw errors.not_found({ field: 'projectId' })
    return environmentListing.slice(read, { projectId }, slice)
  },
})

export const countEnvironmentsByProject = defineQuery({
  name: 'environmentCountByProject',
  description: 'Number of environments of each of several projects, in the order of the projects.',
  permission: 'view:projects',
  ids: { 'projectIds.*': 'Project' },
  input: z.object({ projectIds: z.array(z.string()) }),
  run: (read, { projectIds }) => environmentListing.countsBelow(read, { parent: 'projectId', parentIds: projectIds, filter: {} }),
})
