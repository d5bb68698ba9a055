-- AlterTable
ALTER TABLE "release" ADD COLUMN     "release_command" TEXT;

-- AlterTable
ALTER TABLE "web_service" ADD COLUMN     "single_page" BOOLEAN NOT NULL DEFAULT false;
