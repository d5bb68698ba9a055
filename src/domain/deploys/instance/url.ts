import type { WebService } from '../../../generated/prisma/client.ts'
import type { App } from '../../../platform/work.ts'
import { hostOf } from '../../apps/web-service/index.ts'
import { routerPort } from './ports.ts'

/**
 * Where visitors reach a service; null for a worker. With an `https` PUBLIC_URL a proxy terminates TLS in front of the API and the router,
 * and the router's own port is not what visitors see.
 */
export function urlOf(app: App, service: Pick<WebService, 'kind' | 'slug'>): string | null {
  if (service.kind === 'WORKER') return null
  const host = hostOf(service, app.settings.ROUTER_DOMAIN)
  return app.settings.PUBLIC_URL?.startsWith('https:') ? `https://${host}` : `http://${host}:${routerPort.use(app).port}`
}
