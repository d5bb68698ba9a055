/** Something that is built from a repository and kept online: what it is told, and what is wanted of it. */
import { defineSealedColumn } from '../../../platform/reseal.ts'
import { credentialIdentity } from './model.ts'
import './reactions.ts'

defineSealedColumn({ table: 'web_service', key: 'id', column: 'repository_credential', identity: credentialIdentity })

export {
  createWebService,
  deleteWebService,
  restartWebService,
  setDesiredState,
  startWebService,
  stopWebService,
  updateWebService,
} from './commands.ts'
export { webServiceErrors } from './errors.ts'
export {
  webServiceCreated,
  webServiceDeleted,
  webServiceRestarted,
  webServiceStarted,
  webServiceStopped,
  webServiceUpdated,
} from './events.ts'
export { hostOf, repositoryCredential } from './model.ts'
export {
  countWebServices,
  countWebServicesByProject,
  findWebService,
  listWebServices,
  sliceWebServices,
  webServiceListing,
} from './queries.ts'
export {
  createWebServiceSchema,
  pinnedSettings,
  type ServiceSettings,
  type SettingColumns,
  serviceSettings,
  settingsOf,
} from './settings.ts'
