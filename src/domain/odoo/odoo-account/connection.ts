/** How an account is reached: its settings and its secret, in the form that the port takes. */
import type { OdooAccount, WebService } from '../../../generated/prisma/client.ts'
import { row, sql, type Tx } from '../../../platform/db/index.ts'
import type { App } from '../../../platform/work.ts'
import { hostOf } from '../../apps/web-service/index.ts'
import { routerPort } from '../../deploys/instance/index.ts'
import { secretIdentity } from './model.ts'
import type { OdooConnection } from './ports.ts'

/** The connection of a stored account, whose secret is opened. */
export async function connectionOf(app: App, tx: Tx, account: OdooAccount): Promise<OdooConnection> {
  const { id, organizationId, version, database, login, transport, secret } = account
  return {
    key: `${id}:${version}`,
    ...(await addressOf(app, tx, account)),
    ...{ database, login, transport },
    secret: await app.keyring.open(tx, organizationId, secretIdentity(id), secret),
  }
}

/** A service that runs here is reached through the router of this machine, whatever address its visitors use. */
async function addressOf(app: App, tx: Tx, { url, isLocal, webServiceId }: OdooAccount): Promise<Pick<OdooConnection, 'url' | 'isLocal'>> {
  if (!isLocal) return { url, isLocal }
  const service = await row<WebService>(tx, sql`select * from web_service where id = ${webServiceId}::uuid and desired_state <> 'DELETED'`)
  return { url: service && localUrlOf(app, service), isLocal }
}

export const localUrlOf = (app: App, service: Pick<WebService, 'slug'>): string =>
  `http://${hostOf(service, app.settings.ROUTER_DOMAIN)}:${routerPort.use(app).port}`
