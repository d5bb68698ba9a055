-- CreateTable
CREATE TABLE "role" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "system" "system_role",
    "name" TEXT NOT NULL,
    "description" TEXT,
    "permissions" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "role_pkey" PRIMARY KEY ("id")
);

-- The system roles of existing organizations, and the roles of their members
INSERT INTO role (id, organization_id, system, name, description)
SELECT (substr(stamp, 1, 8) || '-' || substr(stamp, 9, 4) || '-7' || substr(gen_random_uuid()::text, 16))::uuid, o.id, r.system::system_role, r.name, r.description
FROM organization o,
  (VALUES
    (0, 'OWNER', 'Owner', 'All permissions, including deleting the organization.'),
    (1, 'ADMIN', 'Admin', 'All permissions except deleting the organization.'),
    (2, 'DEVELOPER', 'Developer', 'View everything, and manage everything except the organization, members, roles, API keys and audit logs.'),
    (3, 'VIEWER', 'Viewer', 'View everything, except values of secrets.')
  ) AS r (number, system, name, description),
  LATERAL (SELECT lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint + r.number), 12, '0') AS stamp) s;

-- AlterTable
ALTER TABLE "member" ADD COLUMN     "projects_limited" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "role_id" UUID;

UPDATE member m SET role_id = r.id FROM role r WHERE r.organization_id = m.organization_id AND r.system = m.role;

ALTER TABLE "member" ALTER COLUMN "role_id" SET NOT NULL,
DROP COLUMN "role";

-- CreateTable
CREATE TABLE "member_project" (
    "organization_id" UUID NOT NULL,
    "member_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,

    CONSTRAINT "member_project_pkey" PRIMARY KEY ("member_id","project_id")
);

-- CreateIndex
CREATE INDEX "member_project_organization_id_project_id_idx" ON "member_project"("organization_id", "project_id");

-- CreateIndex
CREATE UNIQUE INDEX "role_organization_id_id_key" ON "role"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "role_organization_id_system_key" ON "role"("organization_id", "system");

-- CreateIndex
CREATE INDEX "member_organization_id_role_id_idx" ON "member"("organization_id", "role_id");

-- CreateIndex
CREATE INDEX "member_user_id_idx" ON "member"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "member_organization_id_id_key" ON "member"("organization_id", "id");

-- AddForeignKey
ALTER TABLE "member" ADD CONSTRAINT "member_organization_id_role_id_fkey" FOREIGN KEY ("organization_id", "role_id") REFERENCES "role"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "member_project" ADD CONSTRAINT "member_project_organization_id_member_id_fkey" FOREIGN KEY ("organization_id", "member_id") REFERENCES "member"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "member_project" ADD CONSTRAINT "member_project_organization_id_project_id_fkey" FOREIGN KEY ("organization_id", "project_id") REFERENCES "project"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "role" ADD CONSTRAINT "role_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- role_stamp
CREATE TRIGGER role_stamp BEFORE UPDATE ON role FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- role_name_key
CREATE UNIQUE INDEX role_name_key ON role (organization_id, lower(name));
