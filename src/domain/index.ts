/**
 * The concepts of the domain, from the ground up: each may use those before it. The order of this list is the order in which reactions
 * to one event run, and `test/contract/walls.test.ts` holds the walls of `.dependency-cruiser.mjs` to it.
 */
import type { Concept } from '../platform/concept.ts'
import { foundation } from '../platform/foundation.ts'
import { apiKey } from './access/api-key/index.ts'
import { auditLog } from './access/audit-log/index.ts'
import { installation } from './access/installation/index.ts'
import { invitation } from './access/invitation/index.ts'
import { job } from './access/job/index.ts'
import { mail } from './access/mail/index.ts'
import { member } from './access/member/index.ts'
import { operation } from './access/operation/index.ts'
import { organization } from './access/organization/index.ts'
import { organizationDeletion } from './access/organization-deletion/index.ts'
import { passkey } from './access/passkey/index.ts'
import { role } from './access/role/index.ts'
import { session } from './access/session/index.ts'
import { setting } from './access/setting/index.ts'
import { sshKey } from './access/ssh-key/index.ts'
import { totp } from './access/totp/index.ts'
import { user } from './access/user/index.ts'
import { customDomain } from './apps/custom-domain/index.ts'
import { environment } from './apps/environment/index.ts'
import { plan } from './apps/plan/index.ts'
import { project } from './apps/project/index.ts'
import { server } from './apps/server/index.ts'
import { webService } from './apps/web-service/index.ts'
import { envVar } from './configuration/env-var/index.ts'
import { resolution } from './configuration/resolution/index.ts'
import { secret } from './configuration/secret/index.ts'
import { secretBinding } from './configuration/secret-binding/index.ts'
import { variable } from './configuration/variable/index.ts'
import { certificate } from './deploys/certificate/index.ts'
import { deployment } from './deploys/deployment/index.ts'
import { disk } from './deploys/disk/index.ts'
import { environmentAction } from './deploys/environment-action/index.ts'
import { instance } from './deploys/instance/index.ts'
import { log } from './deploys/log/index.ts'
import { usage } from './deploys/usage/index.ts'
import { bridgeCall } from './odoo/bridge-call/index.ts'
import { moduleUpdate } from './odoo/module-update/index.ts'
import { odooAccount } from './odoo/odoo-account/index.ts'
import { odooInstance } from './odoo/odoo-instance/index.ts'
import { speedTest } from './odoo/speed-test/index.ts'
import { backup } from './resources/backup/index.ts'
import { database } from './resources/database/index.ts'
import { databaseReplica } from './resources/database-replica/index.ts'
import { email } from './resources/email/index.ts'
import { redis } from './resources/redis/index.ts'
import { resource } from './resources/resource/index.ts'
import { resourceBinding } from './resources/resource-binding/index.ts'
import { storage } from './resources/storage/index.ts'
import { storedObject } from './resources/stored-object/index.ts'
import { attempt } from './webhooks/attempt/index.ts'
import { delivery } from './webhooks/delivery/index.ts'
import { endpoint } from './webhooks/endpoint/index.ts'
import { eventType } from './webhooks/event-type/index.ts'
import { message } from './webhooks/message/index.ts'

export const concepts: readonly Concept[] = [
  foundation,
  organization,
  job,
  mail,
  role,
  member,
  user,
  session,
  totp,
  passkey,
  sshKey,
  invitation,
  apiKey,
  auditLog,
  operation,
  organizationDeletion,
  installation,
  setting,
  server,
  plan,
  project,
  environment,
  webService,
  customDomain,
  variable,
  envVar,
  secret,
  secretBinding,
  resolution,
  log,
  disk,
  instance,
  certificate,
  usage,
  deployment,
  environmentAction,
  resource,
  resourceBinding,
  database,
  databaseReplica,
  backup,
  redis,
  storage,
  storedObject,
  email,
  moduleUpdate,
  odooInstance,
  odooAccount,
  bridgeCall,
  speedTest,
  eventType,
  endpoint,
  message,
  delivery,
  attempt,
]
