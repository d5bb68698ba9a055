/** Web services, which are built from a repository and kept running: their settings and desired state. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stamped } from '../../../platform/db/constraints.ts'
import { sql } from '../../../platform/db/index.ts'
import { keptEnvironments } from '../environment/index.ts'
import { offeredPlans } from '../plan/index.ts'
import { createWebService, deleteWebService, restartWebService, startWebService, stopWebService, updateWebService } from './commands.ts'
import { webServiceErrors } from './errors.ts'
import {
  webServiceCreated,
  webServiceDeleted,
  webServiceRestarted,
  webServiceStarted,
  webServiceStopped,
  webServiceUpdated,
} from './events.ts'
import { purgeWebServices } from './jobs.ts'
import { credentialIdentity } from './model.ts'
import { webServicePlans } from './plans.ts'
import {
  countWebServices,
  countWebServicesByProject,
  findWebService,
  listWebServices,
  sliceWebServices,
  webServiceListing,
} from './queries.ts'
import { reactions } from './reactions.ts'

export {
  createWebService,
  deleteWebService,
  insertWebService,
  replaceInstances,
  restartWebService,
  setDesiredState,
  startWebService,
  stopWebService,
  updateWebService,
} from './commands.ts'
export { holdsFor, type ServiceConditions, serviceConditions } from './conditions.ts'
export {
  webServiceCreated,
  webServiceDeleted,
  webServiceRestarted,
  webServiceStarted,
  webServiceStopped,
  webServiceUpdated,
} from './events.ts'
export { hostOf, repositoryCredential } from './model.ts'
export { countWebServicesByProject, findWebService, listWebServices, serviceOf, sliceWebServices, webServiceListing } from './queries.ts'
export {
  createWebServiceSchema,
  type ExtraSettings,
  pinnedSettings,
  type ServiceSettings,
  type SettingColumns,
  serviceSettings,
  settingsOf,
} from './settings.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    WebService: 'svc'
  }
}

export const webService = defineConcept({
  name: 'web-service',
  idPrefixes: { WebService: 'svc' },
  nodes: [webServiceListing],
  commands: [createWebService, updateWebService, deleteWebService, startWebService, stopWebService, restartWebService],
  queries: [findWebService, listWebServices, sliceWebServices, countWebServices, countWebServicesByProject],
  events: [webServiceCreated, webServiceUpdated, webServiceDeleted, webServiceStarted, webServiceStopped, webServiceRestarted],
  errors: [webServiceErrors],
  reactions,
  chores: [purgeWebServices],
  extensions: [
    offeredPlans.with(webServicePlans),
    keptEnvironments.with(sql`exists (select 1 from web_service s where s.environment_id = e.id)`),
  ],
  sealed: [{ table: 'web_service', key: 'id', column: 'repository_credential', identity: credentialIdentity }],
  constraints: [
    ...stamped('web_service'),
    check('web_service', 'instances', 'min_instances >= 1 AND min_instances <= max_instances AND max_instances <= 20'),
    check('web_service', 'slug', "slug ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$'"),
  ],
})
