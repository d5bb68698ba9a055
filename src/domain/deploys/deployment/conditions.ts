import { type Sql, sql } from '../../../platform/db/index.ts'
import type { ServiceConditions } from '../../apps/web-service/index.ts'
import { advancingStatuses, deployedStatuses, unfinishedStatuses } from '../instance/index.ts'

const deploymentThat = (condition: Sql) => sql`exists (select 1 from deployment d where d.web_service_id = s.id and ${condition})`

export const conditions: ServiceConditions = {
  isLive: deploymentThat(sql`d.status = 'LIVE'`),
  willStart: deploymentThat(sql`d.status in ${advancingStatuses.list} and not d.leaves_stopped`),
  // A deployment keeps the kind with which it started for as long as it is live.
  isKindInUse: deploymentThat(sql`d.status in ${deployedStatuses.list}`),
  isKept: deploymentThat(sql`d.status in ${unfinishedStatuses.list}`),
}
