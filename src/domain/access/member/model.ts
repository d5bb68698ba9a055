/** Rows of members, with what events and audit entries show of them. */
import type { Member } from '../../../generated/prisma/client.ts'
import { row, type Sql, sql, type Tx } from '../../../platform/db/index.ts'

export type MemberRow = Member & {
  /** Address of the user. */
  email: string
  roleName: string
  /** Null: all projects. */
  projectIds: string[] | null
}

/** Values that are computed for a member `t`. */
export const shownOf = {
  email: sql`(select u.email from user_account u where u.id = t.user_id)`,
  roleName: sql`(select r.name from role r where r.organization_id = t.organization_id and r.id = t.role_id)`,
  projectIds: sql`(case when t.projects_limited then array(select p.project_id::text from member_project p where p.member_id = t.id order by 1) end)`,
}

/** The member `t` for which a condition holds. */
export const readMember = (tx: Tx, condition: Sql): Promise<MemberRow | null> =>
  row<MemberRow>(
    tx,
    sql`select t.*, ${shownOf.email} as email, ${shownOf.roleName} as role_name, ${shownOf.projectIds} as project_ids from member t where ${condition}`,
  )
