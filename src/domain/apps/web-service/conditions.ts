/** What later concepts know about a service, as conditions in SQL on its row `s`. */
import { defineExtensionPoint } from '../../../platform/concept.ts'
import { anyOf, row, type Sql, sql } from '../../../platform/db/index.ts'
import type { Work } from '../../../platform/work.ts'

export type ServiceConditions = {
  /** A deployment of the service is live. */
  isLive?: Sql
  /** A deployment in progress or in the queue will start the service. */
  willStart?: Sql
  /** The service runs one instance at most, and cannot become a static site. */
  needsOneInstance?: Sql
  /** The kind of the service must not change. */
  isKindInUse?: Sql
  /** The row of the deleted service must not be removed yet. */
  isKept?: Sql
}

export const serviceConditions = defineExtensionPoint<ServiceConditions>('conditions of services')

/** The condition that any of the concepts' conditions of this name holds. */
export const serviceCondition = ({ app }: Pick<Work, 'app'>, name: keyof ServiceConditions): Sql =>
  anyOf(serviceConditions.of(app).flatMap((conditions) => conditions[name] ?? []))

/** Whether a condition holds for a service. */
export const holdsFor = async (work: Work, serviceId: string, name: keyof ServiceConditions): Promise<boolean> =>
  (await row(work.tx, sql`select 1 as holds from web_service s where s.id = ${serviceId}::uuid and ${serviceCondition(work, name)}`)) !==
  null
