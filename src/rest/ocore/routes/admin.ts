/** What administrators of the installation see and change. The rows are about no organization. */
import { z } from 'zod'
import {
  type AdminOrganizationRow,
  type AdminUserRow,
  createUser,
  deactivateUser,
  listAdminOrganizations,
  listAdminUsers,
  reactivateUser,
} from '../../../domain/access/installation/index.ts'
import { listJobs, retryJob } from '../../../domain/access/job/index.ts'
import { adminSettings, updateSettings } from '../../../domain/access/setting/index.ts'
import { commandRow, queryRow, type Route, type Source } from '../../core/index.ts'
import { adminOrganizationBody, adminUserBody, jobBody, adminSchemas as schemas, settingsBody } from '../admin-bodies.ts'
import { defaultPageSize, pageOf } from '../page.ts'
import { jobStatuses } from '../vocabulary.ts'

const ofInstallation = { tag: 'Administration', people: true, withoutOrganization: true } as const
const page = { size: defaultPageSize }

/** Response of a command that returns the user. */
const theUser = {
  schema: schemas.user,
  reply: ({ user }: { user: AdminUserRow }) => adminUserBody(user),
}

const userRoutes: Route[] = [
  queryRow({
    ...ofInstallation,
    id: 'listAdminUsers',
    method: 'GET',
    path: '/admin/users',
    summary: 'List users of the installation',
    read: listAdminUsers,
    query: { search: { to: 'search', schema: z.string(), description: 'Only users whose email address or name contains this text.' } },
    page,
    status: 200,
    schema: schemas.userList,
    reply: ({ rows, ...rest }) => pageOf({ rows, ...rest }, (rows as AdminUserRow[]).map(adminUserBody)),
  }),
  commandRow({
    ...ofInstallation,
    id: 'createAdminUser',
    method: 'POST',
    path: '/admin/users',
    summary: 'Create a user',
    description: 'The user becomes a Viewer of the organization. A password has 8 to 256 characters.',
    command: createUser,
    body: { email: 'email', name: 'name', password: 'password', orgId: 'organizationId' },
    status: 201,
    ...theUser,
  }),
  commandRow({
    ...ofInstallation,
    id: 'deactivateAdminUser',
    method: 'POST',
    path: '/admin/users/{userId}/deactivate',
    summary: 'Deactivate a user',
    description: 'Ends all sessions of the user and stops the API keys of the user at once.',
    command: deactivateUser,
    params: { userId: 'id' },
    status: 200,
    ...theUser,
  }),
  commandRow({
    ...ofInstallation,
    id: 'reactivateAdminUser',
    method: 'POST',
    path: '/admin/users/{userId}/reactivate',
    summary: 'Reactivate a user',
    command: reactivateUser,
    params: { userId: 'id' },
    status: 200,
    ...theUser,
  }),
]

const restored = (to: string): Source => ({ to, description: 'Null restores the value of the environment.' })

export const adminRoutes: Route[] = [
  ...userRoutes,
  queryRow({
    ...ofInstallation,
    id: 'listAdminOrganizations',
    method: 'GET',
    path: '/admin/orgs',
    summary: 'List organizations of the installation',
    read: listAdminOrganizations,
    page,
    status: 200,
    schema: schemas.organizationList,
    reply: ({ rows, ...rest }) => pageOf({ rows, ...rest }, (rows as AdminOrganizationRow[]).map(adminOrganizationBody)),
  }),
  queryRow({
    ...ofInstallation,
    id: 'getAdminSettings',
    method: 'GET',
    path: '/admin/settings',
    summary: 'Retrieve the settings',
    read: adminSettings,
    status: 200,
    schema: schemas.settings,
    reply: settingsBody,
  }),
  commandRow({
    ...ofInstallation,
    id: 'updateAdminSettings',
    method: 'PUT',
    path: '/admin/settings',
    summary: 'Change settings',
    description: 'Takes effect in all processes without a restart. Omitted fields keep their value.',
    command: updateSettings,
    body: {
      signUp: restored('signUp'),
      organizationsPerOwner: restored('organizationsPerOwner'),
      invitationExpiryMs: restored('invitationExpiryMs'),
      storageMaxBuckets: restored('storageMaxBuckets'),
      storageMaxBytes: restored('storageMaxBytes'),
      emailDailyLimit: restored('emailDailyLimit'),
      auditRetentionMs: restored('auditRetentionMs'),
      logRetentionMs: restored('logRetentionMs'),
      webhookRetentionMs: restored('webhookRetentionMs'),
      mailRetentionMs: restored('mailRetentionMs'),
    },
    status: 200,
    schema: schemas.settings,
    reply: ({ settings }) => settingsBody(settings),
  }),
  queryRow({
    ...ofInstallation,
    id: 'listAdminJobs',
    method: 'GET',
    path: '/admin/jobs',
    summary: 'List jobs',
    description: 'Jobs of all organizations that are queued, running or have failed.',
    read: listJobs,
    query: { status: { to: 'status', words: jobStatuses, description: 'Only jobs with this status.' } },
    page,
    status: 200,
    schema: schemas.jobList,
    reply: ({ rows, ...rest }) => pageOf({ rows, ...rest }, rows.map(jobBody)),
  }),
  commandRow({
    ...ofInstallation,
    id: 'retryAdminJob',
    method: 'POST',
    path: '/admin/jobs/{jobId}/retry',
    summary: 'Retry a failed job',
    description: 'A job that cannot be retried answers 422, and says why.',
    command: retryJob,
    params: { jobId: 'id' },
    status: 200,
    schema: schemas.job,
    reply: ({ job }) => jobBody(job),
  }),
]
