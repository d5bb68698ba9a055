import {
  addCustomDomain,
  deleteCustomDomain,
  findCustomDomainOfService,
  listServiceHosts,
  setPrimaryCustomDomain,
  verifyCustomDomain,
} from '../../../domain/apps/custom-domain/index.ts'
import { commandRow, queryRow, type Route, type View } from '../../core/index.ts'
import { domainBodiesOf, oneDomain, domainSchemas as schemas } from '../domain-bodies.ts'
import { done } from '../field.ts'
import { defaultPageSize, pageOf } from '../page.ts'

const tag = 'Domains'
const path = '/instances/{instanceId}/domains'
const onePath = `${path}/{domainId}`
const params = { domainId: 'id' }
const within = { query: findCustomDomainOfService, params: { instanceId: 'webServiceId', domainId: 'id' } }

type Changed = { customDomain: Parameters<typeof oneDomain>[0] & { version: number } }

/** Response of a command that returns the domain. */
const theDomain = {
  schema: schemas.domain,
  reply: ({ customDomain }: Changed, view: View) => oneDomain(customDomain, view),
  version: ({ customDomain }: Changed) => customDomain.version,
}

export const domainRoutes: Route[] = [
  queryRow({
    id: 'listDomains',
    method: 'GET',
    path,
    tag,
    summary: 'List domains',
    description: 'An instance is a service: a web service and a static site have domains, too.',
    read: listServiceHosts,
    params: { instanceId: 'webServiceId' },
    page: { size: defaultPageSize },
    status: 200,
    schema: schemas.domainList,
    reply: async (page, view) => pageOf(page, await domainBodiesOf(page.rows, view)),
  }),
  commandRow({
    id: 'addDomain',
    method: 'POST',
    path,
    tag,
    summary: 'Add a domain',
    description:
      'The domain is served once a TXT record proves it. GraphQL shows the DNS records to publish (`CustomDomain.records`). A domain that belongs to another organization answers 409.',
    command: addCustomDomain,
    params: { instanceId: 'webServiceId' },
    body: { domain: 'domain' },
    status: 201,
    ...theDomain,
  }),
  commandRow({
    id: 'verifyDomain',
    method: 'POST',
    path: `${onePath}/verify`,
    tag,
    summary: 'Verify a domain',
    description:
      'Looks up the DNS records now. `dnsStatus` is the result. If the installation orders certificates, that of a verified domain follows.',
    command: verifyCustomDomain,
    params,
    within,
    status: 202,
    ...theDomain,
  }),
  commandRow({
    id: 'setPrimaryDomain',
    method: 'PUT',
    path: `${onePath}/primary`,
    tag,
    summary: 'Make a domain the primary one',
    description: 'The other custom domains redirect to it. A domain that is not verified answers 422.',
    command: setPrimaryCustomDomain,
    params,
    within,
    body: { isPrimary: { to: 'isPrimary', description: 'False: no custom domain is the primary one any more. Defaults to true.' } },
    status: 200,
    ...theDomain,
  }),
  commandRow({
    id: 'removeDomain',
    method: 'DELETE',
    path: onePath,
    tag,
    summary: 'Remove a domain',
    command: deleteCustomDomain,
    params,
    within,
    ...done('Domain removed'),
  }),
]
