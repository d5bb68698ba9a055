/** The account of the person who is signed in. Its rows are about no organization. */
import { findProfile } from '../../../domain/access/totp/index.ts'
import { updateViewer } from '../../../domain/access/user/index.ts'
import { errors } from '../../../platform/errors.ts'
import { commandRow, queryRow, type Route, type View } from '../../core/index.ts'
import { userSchemas as schemas, userBody } from '../user-bodies.ts'

const tag = 'User'
const path = '/user'
const ofAccount = { tag, people: true, withoutOrganization: true } as const

async function currentBody({ ask }: View) {
  const profile = await ask(findProfile, {})
  if (!profile) throw errors.not_found()
  return userBody(profile)
}

export const userRoutes: Route[] = [
  queryRow({
    ...ofAccount,
    id: 'getUser',
    method: 'GET',
    path,
    summary: 'Retrieve your profile',
    read: findProfile,
    status: 200,
    schema: schemas.user,
    reply: userBody,
    version: ({ version }) => version,
  }),
  commandRow({
    ...ofAccount,
    id: 'updateUser',
    method: 'PATCH',
    path,
    summary: 'Update your profile',
    description: 'Omitted fields keep their value.',
    command: updateViewer,
    body: { name: 'name' },
    status: 200,
    schema: schemas.user,
    reply: (_result, view) => currentBody(view),
    version: ({ user }) => user.version,
  }),
]
