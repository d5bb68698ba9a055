-- CreateEnum
CREATE TYPE "service_source" AS ENUM ('GIT', 'IMAGE');

-- AlterTable
ALTER TABLE "web_service" ADD COLUMN     "auto_deploy" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "dockerfile_path" TEXT,
ADD COLUMN     "image_ref" TEXT,
ADD COLUMN     "source_type" "service_source" NOT NULL DEFAULT 'GIT';
