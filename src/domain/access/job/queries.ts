import { z } from 'zod'
import { administration } from '../../../platform/access.ts'
import { defineQuery } from '../../../platform/command.ts'
import { join, row, rows, type Sql, sql, type Tx } from '../../../platform/db/index.ts'
import { type PagePlan, pageSchema, planPage } from '../../../platform/page.ts'
import { type JobRow, type JobSource, jobSources, jobStatuses } from './model.ts'

export const jobDescription =
  'Jobs of all organizations that are queued, running or have failed, newest first: deployments, operations, backups, certificates, mails, and webhook messages with their deliveries. For administrators of the installation.'

const filter = { status: z.enum(jobStatuses).nullish() }

const where = ({ status }: { status?: string | null | undefined }): Sql => (status ? sql`t.status = ${status}` : sql`true`)

/** Each source gives at most a page, which it reads in the order of its ids. */
const jobsOf = (sources: readonly JobSource[], condition: Sql, { orderBy, limit }: Pick<PagePlan, 'orderBy' | 'limit'>): Sql => {
  const each = sources.map(({ jobs }) => sql`(select * from (${jobs}) t where ${condition} order by ${orderBy} limit ${limit})`)
  return sql`select * from (${join(each, ' union all ')}) t order by ${orderBy} limit ${limit}`
}

export const listJobs = defineQuery({
  name: 'adminJobs',
  description: jobDescription,
  permission: administration,
  ids: {},
  input: z.object(filter).and(pageSchema),
  async run({ app, tx }, input) {
    const plan = planPage('AdminJob', 'newest_first', input)
    return plan.toPage(await rows<JobRow>(tx, jobsOf(jobSources.of(app), sql`${plan.condition} and ${where(input)}`, plan)))
  },
})

export const countJobs = defineQuery({
  name: 'adminJobCount',
  description: 'Number of jobs that are queued, running or have failed. For administrators of the installation.',
  permission: administration,
  ids: {},
  input: z.object(filter),
  async run({ app, tx }, input) {
    const each = jobSources.of(app).map(({ jobs }) => sql`select count(*) as n from (${jobs}) t where ${where(input)}`)
    return (await row<{ n: number }>(tx, sql`select sum(n)::int as n from (${join(each, ' union all ')}) c`))!.n
  },
})

/** The job with an id, if one of the sources has it. */
export const readJob = (tx: Tx, sources: readonly JobSource[], id: string): Promise<JobRow | null> =>
  row(tx, jobsOf(sources, sql`t.id = ${id}::uuid`, { orderBy: sql`t.id`, limit: 1 }))
