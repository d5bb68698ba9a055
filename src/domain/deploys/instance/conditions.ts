import { sql } from '../../../platform/db/index.ts'
import type { ServiceConditions } from '../../apps/web-service/index.ts'

export const conditions: ServiceConditions = {
  isKept: sql`(exists (select 1 from instance i where i.web_service_id = s.id) or exists (select 1 from release r where r.web_service_id = s.id))`,
}
