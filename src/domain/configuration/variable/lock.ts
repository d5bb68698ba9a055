/** Locks for writers of configuration. Each locks the project before the service, and the parent before the row. */
import type { Project, WebService } from '../../../generated/prisma/client.ts'
import { visible } from '../../../platform/command.ts'
import { raw, row, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'

type Ids = Record<string, string>

/** Locks the service `webServiceId`, so that its configuration has one writer at a time. Null if it was deleted. */
export const lockService = (work: Work, { webServiceId }: Ids): Promise<WebService | null> =>
  row<WebService>(
    work.tx,
    sql`select s.* from web_service s where s.id = ${webServiceId}::uuid and ${visible(work.caller, sql`s`)}
        and s.desired_state <> 'DELETED' for update`,
  )

/** Locks the project `projectId`, so that its secrets have one writer at a time. Null if it is being deleted. */
export const lockProject = (work: Work, { projectId }: Ids): Promise<Project | null> =>
  row<Project>(
    work.tx,
    sql`select p.* from project p where p.id = ${projectId}::uuid and ${visible(work.caller, sql`p`, sql`id`)} and p.deleting_at is null for update`,
  )

const parents = { web_service: 'webServiceId', project: 'projectId' } as const

/**
 * Locks the row `id` of a table and, before it, the parent that it belongs to. If the parent's id is given too, as in REST paths, the
 * row must belong to that parent.
 */
export const lockUnder =
  <Row>(parent: keyof typeof parents, table: string) =>
  async (work: Work, ids: Ids): Promise<Row | null> => {
    const source = sql`${raw(table)} t`
    const parentId = sql`t.${raw(`${parent}_id`)}`
    const given = ids[parents[parent]]
    const condition = sql`t.id = ${ids.id}::uuid and ${visible(work.caller, sql`t`)} ${given ? sql`and ${parentId} = ${given}::uuid` : sql``}`
    await row(
      work.tx,
      sql`select 1 as locked from ${raw(parent)} where id = (select ${parentId} from ${source} where ${condition}) for update`,
    )
    return row<Row>(work.tx, sql`select t.* from ${source} where ${condition} for update`)
  }
